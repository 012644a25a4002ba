/* load PORT PIDS: reads commands from stdin, answers each with one line of JSON.
 *
 *   open clients=N [rooms=R] [narrow=K] [sources=S] [flooders=F [apart=A]] [plain=1]
 *       N clients connect and join room i mod R (none for R=0); the last K take little into their kernel buffers;
 *       the last F are flooders, with apart=A in A rooms of their own;
 *       plain=1 is a plain WebSocket each, whose only verbs without acknowledgements are chat and broadcast
 *   run [verb=chat|broadcast|ping] [inflight=W | rate=X] [seconds=T] [warm=T] [publishers=P] [size=B] [acks=1] [ids=FILE]
 *       the first P clients publish in turn: chat is counted per delivery to a member, ping per acknowledgement;
 *       W publications are kept under way, or X are published per second, late or not;
 *       acks=1 asks for acknowledgements besides, and the ids in them are written to FILE;
 *       flood=Y [flood_acks=1] [back=1]: the flooders send Y events per second, and come back when they are cut
 *   stall count=K       the last K clients stop reading
 *   leave               every client hangs up
 *   status              who is there
 */
#define _GNU_SOURCE
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  LINE = 4096,
  LOOK_AT = 17, /* one delivery in 17, a prime: every member has its turn */
  CATCH_UP = 64 /* late publications sent in one turn of the loop: what comes back has to be read, too */
};
static const double STUCK = 10; /* seconds without a delivery that end a run */

typedef struct {
  const char *verb;
  bool ping, acks, stuck;
  double rate, seconds, warm;
  int inflight, publishers, size;
  Flood flood;
} Run;

static uint64_t published, expected, delivered, refused, others;
static double last_heard;
static bool measuring;
static Samples latency;
static bool pinging, plain;

/* ---- options of a command: words of the form key=value */

static const char *option(const char *line, const char *key) {
  size_t length = strlen(key);
  for (const char *at = line; (at = strstr(at, key)); at += length)
    if (at != line && at[-1] == ' ' && at[length] == '=') return at + length + 1;
  return NULL;
}

static double number(const char *line, const char *key, double otherwise) {
  const char *value = option(line, key);
  return value ? atof(value) : otherwise;
}

static void word(const char *line, const char *key, char *to, size_t room) {
  const char *value = option(line, key);
  if (value) snprintf(to, room, "%.*s", (int)strcspn(value, " "), value);
}

/* ---- hearing */

static bool begins(const char *text, size_t size, const char *with, size_t length) {
  return size >= length && !memcmp(text, with, length);
}
#define BEGINS(text, size, with) begins(text, size, with, sizeof with - 1)

static void look_at(uint64_t sent_at) {
  if (measuring && sent_at) samples_add(&latency, now() - (double)sent_at * 1e-9);
}

/* Every message starts with its due time in hexadecimal nanoseconds. */
static void chat_heard(const Client *client, const char *text, size_t size) {
  static const char KEY[] = "\"message\":\"";
  if (delivered++ % LOOK_AT || !measuring || client->flooder) return;
  const char *at = memmem(text, size, KEY, sizeof KEY - 1);
  if (at) look_at(strtoull(at + sizeof KEY - 1, NULL, 16));
}

static void error_heard(Client *client, const char *text, size_t size) {
  if (!refused++) fprintf(stderr, "refused: %.*s\n", (int)(size < 300 ? size : 300), text);
  delivered += client->room >= 0 ? (uint64_t)swarm_members[client->room] : 1;
}

static void ack_heard(Client *client, const char *text, size_t size) {
  bool good = !memmem(text, size, "\"ok\":false", 10);
  uint64_t asked_at = acks_heard(text, size, good, measuring);
  if (pinging) {
    delivered++;
    if (good) look_at(asked_at);
    else refused++;
  } else if (!good) {
    error_heard(client, text, size);
  }
}

void heard(Client *client, const char *text, size_t size) {
  last_heard = now();
  if (flood_heard(text, size)) return;
  if (BEGINS(text, size, "{\"type\":\"chat\"") || BEGINS(text, size, "{\"type\":\"broadcast\"")) chat_heard(client, text, size);
  else if (BEGINS(text, size, "42[\"chat\"") || BEGINS(text, size, "42[\"broadcast\"")) chat_heard(client, text, size);
  else if (BEGINS(text, size, "43")) ack_heard(client, text, size);
  else if (BEGINS(text, size, "42[\"error\"") || BEGINS(text, size, "{\"type\":\"error\"")) error_heard(client, text, size);
  else others++;
}

/* ---- publishing */

static const char *padding(int size) {
  static char *text;
  static int length = -1;
  if (length != size) {
    text = realloc(text, (size_t)size + 1);
    memset(text, 'x', (size_t)(length = size));
    text[size] = 0;
  }
  return text;
}

static Client *next_publisher(const Run *run) {
  for (int tries = 0; tries < run->publishers; tries++) {
    Client *client = &swarm[(published + (uint64_t)tries) % (uint64_t)run->publishers];
    if (client->state == READY && !client->stalled) return client;
  }
  fprintf(stderr, "no publisher is left\n");
  exit(4);
}

static int compose(char **text, const Run *run, const Client *client, uint64_t due_ns) {
  char ack[24] = "";
  if (run->acks) snprintf(ack, sizeof ack, "%u", acks_ask(due_ns));
  if (plain)
    return asprintf(text, "{\"type\":\"%s\",\"room\":\"bench-%d\",\"message\":\"%016llx%s\"}", run->verb, client->room,
                    (unsigned long long)due_ns, padding(run->size - 16));
  if (run->ping) return asprintf(text, "42%s[\"ping\",{\"data\":\"%s\"}]", ack, padding(run->size));
  return asprintf(text, "42%s[\"%s\",{\"room\":\"bench-%d\",\"message\":\"%016llx%s\"}]", ack, run->verb, client->room,
                  (unsigned long long)due_ns, padding(run->size - 16));
}

static void publish(const Run *run, double due) {
  char *text;
  Client *client = next_publisher(run);
  int size = compose(&text, run, client, (uint64_t)(due * 1e9));
  if (size < 0) exit(3);
  published++;
  expected += run->ping ? 1 : (uint64_t)swarm_members[client->room];
  swarm_send(client, text, (size_t)size);
  free(text);
}

static int publish_by_clock(const Run *run, double begin) {
  for (int late = 0; late < CATCH_UP && begin + (double)published / run->rate <= now(); late++)
    publish(run, begin + (double)published / run->rate);
  double wait = (begin + (double)published / run->rate - now()) * 1e3;
  return wait < 1 ? 0 : wait > 10 ? 10 : (int)wait; /* under a millisecond it spins: epoll would oversleep */
}

static void keep_inflight(const Run *run) {
  uint64_t fan = run->ping ? 1 : (uint64_t)swarm_members[0];
  while (expected + fan <= delivered + (uint64_t)run->inflight * fan) publish(run, now());
}

static void publish_until(Run *run, double begin, double end) {
  uint64_t before = delivered;
  double moved = now();
  for (double time; (time = now()) < end && !run->stuck;) {
    int wait = 10;
    if (run->rate > 0) wait = publish_by_clock(run, begin);
    else keep_inflight(run);
    flood_turn();
    swarm_turn(run->flood.rate > 0 && wait > 1 ? 1 : wait);
    if (delivered != before) moved = time;
    else if (time - moved > STUCK) run->stuck = true;
    before = delivered;
  }
}

/* ---- commands */

static void settle(double quiet, double most) {
  double end = now() + most;
  last_heard = now();
  while (now() - last_heard < quiet && now() < end) swarm_turn(20);
}

static void drain(void) {
  uint64_t before = delivered;
  for (double moved = now(); (delivered < expected || acks_missing()) && now() - moved < 3; swarm_turn(10)) {
    uint64_t seen = delivered - acks_missing();
    if (seen != before) moved = now();
    before = seen;
  }
}

typedef struct {
  double time, cpu;
  uint64_t published, delivered;
} Mark;

static Mark mark(void) { return (Mark){now(), cpu_seconds(), published, delivered}; }

static void report(const Run *run, const Mark *from, const Mark *to) {
  double took = to->time - from->time, cpu = to->cpu - from->cpu;
  uint64_t count = to->delivered - from->delivered;
  samples_sort(&latency);
  printf("{\"published\":%llu,", (unsigned long long)published);
  printf("\"publications\":%llu,\"deliveries\":%llu,\"seconds\":%.4f,\"cpu_s\":%.6f,\"cpu_us\":%.4f,\"load\":%.3f,",
         (unsigned long long)(to->published - from->published), (unsigned long long)count, took, cpu,
         count ? cpu * 1e6 / (double)count : 0, cpu / took);
  printf("\"p50_ms\":%.4f,\"p90_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f,\"samples\":%zu,",
         samples_quantile(&latency, .5) * 1e3, samples_quantile(&latency, .9) * 1e3, samples_quantile(&latency, .99) * 1e3,
         samples_quantile(&latency, 1) * 1e3, latency.count);
  if (run->acks && !run->ping) acks_report();
  if (run->flood.rate > 0) flood_report();
  printf("\"missing\":%lld,\"refused\":%llu,\"stuck\":%s,\"lost\":%d,\"evicted\":%d}\n",
         (long long)(expected - delivered), (unsigned long long)refused, run->stuck ? "true" : "false", swarm_lost, swarm_evicted);
}

static void run_command(const char *line) {
  char verb[16] = "chat", ids[LINE] = "";
  word(line, "verb", verb, sizeof verb);
  word(line, "ids", ids, sizeof ids);
  bool ping = !strcmp(verb, "ping");
  Run run = {
      .verb = verb,
      .ping = ping,
      .acks = ping || number(line, "acks", 0) > 0,
      .rate = number(line, "rate", 0),
      .seconds = number(line, "seconds", 5),
      .warm = number(line, "warm", 1),
      .inflight = (int)number(line, "inflight", 1),
      .publishers = (int)number(line, "publishers", 1),
      .size = (int)number(line, "size", 64),
      .flood = {number(line, "flood", 0), number(line, "flood_acks", 0) > 0, number(line, "back", 0) > 0},
  };
  if (run.publishers > swarm_size) run.publishers = swarm_size;
  if (run.size < 16) run.size = 16;
  settle(0.2, 5);
  published = expected = delivered = refused = 0;
  pinging = run.ping;
  acks_begin(ids);
  latency.count = 0;
  double begin = now();
  flood_begin(&run.flood, begin);
  publish_until(&run, begin, begin + run.warm);
  measuring = true;
  Mark from = mark();
  publish_until(&run, begin, begin + run.warm + run.seconds);
  Mark to = mark();
  measuring = false;
  drain();
  report(&run, &from, &to);
}

static void open_command(const char *line, int port) {
  Plan plan = {
      .port = port,
      .clients = (int)number(line, "clients", 100),
      .rooms = (int)number(line, "rooms", 1),
      .sources = (int)number(line, "sources", 1),
      .narrow = (int)number(line, "narrow", 0),
      .flooders = (int)number(line, "flooders", 0),
      .apart = (int)number(line, "apart", 0),
      .plain = plain = number(line, "plain", 0) > 0,
  };
  double begin = now();
  swarm_open(&plan);
  double took = now() - begin;
  settle(0.5, 60);
  printf("{\"clients\":%d,\"seconds\":%.3f,\"settled\":%.3f,\"redialled\":%d,\"cpu_s\":%.4f}\n", swarm_ready, took, now() - begin,
         swarm_redialled, cpu_seconds());
}

static void status_command(void) {
  printf("{\"clients\":%d,\"lost\":%d,\"evicted\":%d,\"others\":%llu}\n", swarm_size - swarm_lost - swarm_evicted, swarm_lost,
         swarm_evicted, (unsigned long long)others);
}

static void obey(const char *line, int port) {
  if (!strncmp(line, "open ", 5)) open_command(line, port);
  else if (!strncmp(line, "run", 3)) run_command(line);
  else if (!strncmp(line, "stall ", 6)) swarm_stall((int)number(line, "count", 1)), status_command();
  else if (!strcmp(line, "leave")) swarm_leave(), status_command();
  else if (!strcmp(line, "status")) status_command();
  else printf("{\"error\":\"unknown command\"}\n");
  fflush(stdout);
}

/* Clients must answer heartbeats while no command runs: stdin is one more file of the event loop. */
static bool next_line(char *line) {
  static char typed[LINE];
  static size_t have;
  for (;;) {
    char *end = memchr(typed, '\n', have);
    if (end) {
      size_t length = (size_t)(end - typed);
      memcpy(line, typed, length);
      line[length] = 0;
      memmove(typed, end + 1, have -= length + 1);
      return true;
    }
    if (have == LINE || !swarm_turn(1000)) continue;
    ssize_t got = read(STDIN_FILENO, typed + have, LINE - have);
    if (got <= 0) return false;
    have += (size_t)got;
  }
}

int main(int count, char **words) {
  char line[LINE];
  if (count != 3) {
    fprintf(stderr, "usage: load PORT PIDS\n");
    return 2;
  }
  swarm_start(STDIN_FILENO);
  cpu_watch(words[2]);
  while (next_line(line)) obey(line, atoi(words[1]));
  return 0;
}
