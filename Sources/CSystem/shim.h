#pragma once

// Calls of the C library that its headers show only to GNU sources, or that Swift's Glibc module
// leaves out, as it documents them. No header is included: its types would come to belong to this
// module in one build and to Glibc in the next.

/// Writes everything that waits for the file system of an open file, and has its device flushed.
int syncfs(int descriptor);

/// Reads the state of the kernel's clock into a `struct timex` whose first number is 0; says
/// whether the clock is kept right.
int adjtimex(void *state);

/// The two halves of a device's number.
unsigned int gnu_dev_major(unsigned long device);
unsigned int gnu_dev_minor(unsigned long device);
