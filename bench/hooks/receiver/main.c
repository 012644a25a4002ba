/* receiver [hang]: takes webhooks as cheaply as it can; prints its port, then reads commands from stdin and answers
 * each with one line of JSON.
 *
 *   reset [FILE]   forgets what came; the bodies that follow go to FILE, one per line
 *   report         what came since
 *
 * A message that the load generator sent starts with the moment at which it was due, in hexadecimal nanoseconds of the
 * clock that both share. With `hang` it accepts connections, reads requests, and never answers.
 */
#define _GNU_SOURCE
#include "../../load/load.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { INBOX = 1 << 18, EVENTS = 64, LINE = 4096 };

typedef struct {
  int fd;
  char *at; /* always ends with a zero */
  size_t size, room;
} Peer;

static int epoll_fd;
static bool hang;
static uint64_t requests, events;
static double first_at, last_at;
static Samples latency;
static FILE *kept;

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void watch(int fd, void *as) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = as};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* ---- requests */

static void take_body(const char *body, size_t size) {
  static const char KEY[] = "\"message\":\"";
  const char *at = body, *end = body + size;
  last_at = now();
  if (!requests++) first_at = last_at;
  while ((at = memmem(at, (size_t)(end - at), KEY, sizeof KEY - 1))) {
    at += sizeof KEY - 1;
    events++;
    uint64_t due_ns = strtoull(at, NULL, 16);
    if (due_ns) samples_add(&latency, last_at - (double)due_ns * 1e-9);
  }
  if (!kept) return;
  fwrite(body, 1, size, kept);
  fputc('\n', kept);
}

/* Takes one request out of the buffer; returns its length, 0 while it is incomplete. */
static size_t take_request(const Peer *peer) {
  static const char OK[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  char *body = memmem(peer->at, peer->size, "\r\n\r\n", 4);
  if (!body) return 0;
  *body = 0; /* so that the search ends with the head */
  const char *length = strcasestr(peer->at, "\ncontent-length:");
  size_t size = length ? strtoul(length + 16, NULL, 10) : 0;
  *body = '\r';
  body += 4;
  if (peer->size - (size_t)(body - peer->at) < size) return 0;
  take_body(body, size);
  if (write(peer->fd, OK, sizeof OK - 1) < 0) perror("write");
  return (size_t)(body - peer->at) + size;
}

static void hang_up(Peer *peer) {
  close(peer->fd);
  free(peer->at);
  free(peer);
}

static void readable(Peer *peer) {
  if (peer->room - peer->size < INBOX) peer->at = realloc(peer->at, (peer->room = 2 * peer->room + INBOX) + 1);
  ssize_t got = read(peer->fd, peer->at + peer->size, peer->room - peer->size);
  if (got <= 0) return hang_up(peer);
  if (hang) return;
  peer->at[peer->size += (size_t)got] = 0;
  for (size_t took; (took = take_request(peer));)
    memmove(peer->at, peer->at + took, (peer->size -= took) + 1);
}

static void accept_peer(int listener) {
  int one = 1;
  Peer *peer = calloc(1, sizeof *peer);
  peer->fd = accept(listener, NULL, NULL);
  if (peer->fd < 0) return free(peer);
  setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  watch(peer->fd, peer);
}

/* ---- commands */

static void reset(const char *path) {
  requests = events = latency.count = 0;
  first_at = last_at = 0;
  if (kept) fclose(kept);
  kept = *path ? fopen(path, "w") : NULL;
}

static void report(void) {
  samples_sort(&latency);
  if (kept) fflush(kept);
  printf("{\"requests\":%llu,\"events\":%llu,\"first\":%.6f,\"last\":%.6f,\"now\":%.6f,\"cpu_s\":%.6f,",
         (unsigned long long)requests, (unsigned long long)events, first_at, last_at, now(), cpu());
  printf("\"p50_ms\":%.4f,\"p90_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f}\n", samples_quantile(&latency, .5) * 1e3,
         samples_quantile(&latency, .9) * 1e3, samples_quantile(&latency, .99) * 1e3, samples_quantile(&latency, 1) * 1e3);
}

static void obey(void) {
  char line[LINE];
  if (!fgets(line, sizeof line, stdin)) exit(0);
  line[strcspn(line, "\n")] = 0;
  if (!strncmp(line, "reset", 5)) reset(line[5] ? line + 6 : "");
  report();
  fflush(stdout);
}

int main(int count, char **words) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  hang = count > 1 && !strcmp(words[1], "hang");
  signal(SIGPIPE, SIG_IGN);
  epoll_fd = epoll_create1(0);
  if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 512)) return perror("listen"), 3;
  getsockname(listener, (struct sockaddr *)&address, &length);
  watch(listener, &listener);
  watch(STDIN_FILENO, NULL);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (struct epoll_event ready[EVENTS];;) {
    int many = epoll_wait(epoll_fd, ready, EVENTS, -1);
    for (int i = 0; i < many; i++) {
      void *what = ready[i].data.ptr;
      if (!what) obey();
      else if (what == &listener) accept_peer(listener);
      else readable(what);
    }
  }
}
