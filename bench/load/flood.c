/* Clients that send more than they may: by the clock, in turn, and without a look at the answers. */
#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <string.h>

enum { CATCH_UP = 256 };

static Flood flood;
static double begun;
static uint64_t due, sent, refused, answered, spread;
static int last;

void flood_begin(const Flood *wanted, double begin) {
  flood = *wanted;
  begun = begin;
  due = sent = refused = answered = spread = 0;
}

static Client *next_flooder(void) {
  for (int tries = 0; tries < swarm_size; tries++) {
    Client *client = &swarm[last = (last + 1) % swarm_size];
    if (client->flooder && client->state == READY) return client;
  }
  return NULL;
}

void flood_turn(void) {
  char text[128];
  if (flood.rate <= 0) return;
  if (flood.back) swarm_redial();
  for (int late = 0; late < CATCH_UP && begun + (double)due / flood.rate <= now(); late++, due++) {
    Client *client = next_flooder();
    if (!client) continue; /* all are cut: what is due is not sent later */
    int size = snprintf(text, sizeof text, "42%s[\"chat\",{\"room\":\"bench-%d\",\"message\":\"flood flood flood flood\"}]",
                        flood.acks ? "9" : "", client->room);
    swarm_send(client, text, (size_t)size);
    sent++;
  }
}

bool flood_heard(const char *text, size_t size) {
  if (flood.rate <= 0) return false;
  if (memmem(text, size, "\"message\":\"flood", 16)) return spread++, true;
  if (size > 4 && !memcmp(text, "439[", 4)) return memmem(text, size, "\"ok\":false", 10) ? refused++ : answered++, true;
  if (size > 9 && !memcmp(text, "42[\"error\"", 10)) return refused++, true;
  return false;
}

void flood_report(void) {
  printf("\"flooded\":%llu,\"flood_refused\":%llu,\"flood_answered\":%llu,\"flood_spread\":%llu,\"cut\":%d,",
         (unsigned long long)sent, (unsigned long long)refused, (unsigned long long)answered, (unsigned long long)spread, swarm_cut);
}
