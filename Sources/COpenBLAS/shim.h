#pragma once
#include <cblas.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/// Nanoseconds of a clock that never goes back; for profiles only, never for results.
static inline uint64_t lethe_monotonic_nanoseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/// Vector units that both the processor and the operating system offer:
/// bit 0 AVX2 with FMA, bit 1 AVX-512 F, BW, DQ and VL. Zero on any other architecture.
static inline uint32_t lethe_vector_units(void) {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
  if (!(c & (1u << 27)) || !(c & (1u << 28))) return 0;
  int fused = (c >> 12) & 1;
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 0x6) != 0x6) return 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
  uint32_t units = 0;
  if (fused && (b & (1u << 5))) units |= 1;
  unsigned wide = (1u << 16) | (1u << 17) | (1u << 30) | (1u << 31);
  if ((units & 1) && (b & wide) == wide && (low & 0xe0) == 0xe0) units |= 2;
  return units;
#else
  return 0;
#endif
}
