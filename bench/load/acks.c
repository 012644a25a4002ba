#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACKS = 1 << 16 };

static uint64_t asked_at[ACKS]; /* nanoseconds, by acknowledgement id */
static uint64_t asked, answered;
static double last_at;
static Samples latency;
static FILE *ids;

void acks_begin(const char *path) {
  asked = answered = latency.count = 0;
  last_at = 0;
  if (ids) fclose(ids);
  ids = path && *path ? fopen(path, "w") : NULL;
  if (path && *path && !ids) exit(3);
}

unsigned acks_ask(uint64_t due_ns) {
  unsigned id = (unsigned)(asked++ % ACKS);
  asked_at[id] = due_ns;
  return id;
}

static void keep_id(const char *text, size_t size) {
  static const char KEY[] = "\"id\":\"";
  const char *at = memmem(text, size, KEY, sizeof KEY - 1);
  if (!at) return;
  at += sizeof KEY - 1;
  const char *end = memchr(at, '"', size - (size_t)(at - text));
  if (end) fprintf(ids, "%.*s\n", (int)(end - at), at);
}

uint64_t acks_heard(const char *text, size_t size, bool good, bool measuring) {
  uint64_t due_ns = asked_at[strtoul(text + 2, NULL, 10) % ACKS];
  answered++;
  last_at = now();
  if (good && measuring) samples_add(&latency, last_at - (double)due_ns * 1e-9);
  if (good && ids) keep_id(text, size);
  return due_ns;
}

uint64_t acks_missing(void) { return asked - answered; }

void acks_report(void) {
  samples_sort(&latency);
  if (ids) fflush(ids);
  printf("\"acks\":%llu,\"ack_p50_ms\":%.4f,\"ack_p99_ms\":%.4f,\"ack_max_ms\":%.4f,\"unanswered\":%llu,\"last_ack\":%.6f,",
         (unsigned long long)answered, samples_quantile(&latency, .5) * 1e3, samples_quantile(&latency, .99) * 1e3,
         samples_quantile(&latency, 1) * 1e3, (unsigned long long)acks_missing(), last_at);
}
