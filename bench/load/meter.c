#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_PROCESSES = 64 };

static clockid_t clocks[MAX_PROCESSES];
static int processes;

static double read_clock(clockid_t clock) {
  struct timespec t = {0};
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double now(void) { return read_clock(CLOCK_MONOTONIC); }

/* A process's own clock counts nanoseconds; /proc/PID/stat would count ticks of ten milliseconds. */
void cpu_watch(const char *pids) {
  char *list = strdup(pids), *rest = list;
  for (char *pid; (pid = strsep(&rest, ",")) && processes < MAX_PROCESSES;)
    if (*pid && !clock_getcpuclockid(atoi(pid), &clocks[processes])) processes++;
  free(list);
}

double cpu_seconds(void) {
  double total = 0;
  for (int i = 0; i < processes; i++) total += read_clock(clocks[i]);
  return total;
}

void samples_add(Samples *samples, double seconds) {
  if (samples->count == samples->room) {
    samples->room = samples->room ? 2 * samples->room : 65536;
    samples->at = realloc(samples->at, samples->room * sizeof *samples->at);
    if (!samples->at) exit(3);
  }
  samples->at[samples->count++] = seconds;
}

static int by_size(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

void samples_sort(Samples *samples) {
  if (samples->count) qsort(samples->at, samples->count, sizeof *samples->at, by_size);
}

double samples_quantile(const Samples *samples, double share) {
  if (!samples->count) return 0;
  size_t index = (size_t)(share * (double)samples->count);
  return samples->at[index < samples->count ? index : samples->count - 1];
}
