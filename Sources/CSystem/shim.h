#pragma once

// Not in the Glibc module: the kernel's clock state, and a device's two numbers.
#include <sys/sysmacros.h>
#include <sys/timex.h>

// Calls of the C library that its headers show only to GNU sources, as it documents them.

/// Writes everything that waits for the file system of an open file, and has its device flushed.
int syncfs(int descriptor);
