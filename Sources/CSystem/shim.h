#pragma once

// Calls of the C library that its headers show only to GNU sources, as it documents them.

/// Writes everything that waits for the file system of an open file, and has its device flushed.
int syncfs(int descriptor);
