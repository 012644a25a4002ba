#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const char PONG[] = "{\"type\":\"pong\"}";

enum { DIALLING_AT_ONCE = 64, INBOX = 1 << 20, EVENTS = 1024 };

Client *swarm;
int swarm_size, swarm_ready, swarm_lost, swarm_evicted, swarm_redialled, swarm_cut;
int *swarm_members;

static Plan plan;
static int epoll_fd, control = -1, underway;
static bool opening;

static void die(const char *what, const char *text, size_t size) {
  fprintf(stderr, "%s: %.*s\n", what, (int)(size < 300 ? size : 300), text);
  exit(4);
}

/* ---- buffers */

static char *buffer_reserve(Buffer *buffer, size_t more) {
  if (buffer->size + more > buffer->room) {
    buffer->room = 2 * (buffer->size + more);
    buffer->at = realloc(buffer->at, buffer->room);
    if (!buffer->at) die("memory", "", 0);
  }
  return buffer->at + buffer->size;
}

static void buffer_drop(Buffer *buffer, size_t bytes) {
  buffer->size -= bytes;
  if (buffer->size) memmove(buffer->at, buffer->at + bytes, buffer->size);
}

static void buffer_free(Buffer *buffer) {
  free(buffer->at);
  *buffer = (Buffer){0};
}

/* ---- going away */

static void hang_up(Client *client) {
  close(client->fd); /* which takes it out of epoll too */
  buffer_free(&client->in);
  buffer_free(&client->out);
}

/* A flooder may come back, see swarm_redial. */
static void cut(Client *client) {
  hang_up(client);
  if (client->state == READY) {
    if (client->room >= 0) swarm_members[client->room]--;
  } else {
    underway--;
  }
  client->state = IDLE;
  client->redial_at = now() + 0.2;
  swarm_cut++;
}

static void lost(Client *client, const char *why) {
  if (client->state == GONE) return;
  if (opening) die("a client was closed while the swarm opened", why, strlen(why));
  if (client->flooder) return cut(client);
  hang_up(client);
  client->state = GONE;
  if (client->stalled) {
    swarm_evicted++;
    return;
  }
  swarm_lost++;
  if (client->room >= 0) swarm_members[client->room]--;
}

/* ---- writing */

static void watch(Client *client, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = client};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
}

static void flush(Client *client) {
  Buffer *out = &client->out;
  ssize_t sent = write(client->fd, out->at, out->size);
  if (sent < 0 && errno != EAGAIN) return lost(client, strerror(errno));
  if (sent > 0) buffer_drop(out, (size_t)sent);
  if (out->size) watch(client, EPOLLIN | EPOLLOUT);
}

static void put(Client *client, int opcode, const char *data, size_t size) {
  if (client->state == GONE) return;
  bool waiting = client->out.size > 0;
  client->out.size += wire_pack(buffer_reserve(&client->out, size + FRAME_HEAD), opcode, data, size);
  if (!waiting) flush(client);
}

void swarm_send(Client *client, const char *text, size_t size) { put(client, OP_TEXT, text, size); }

/* ---- dialling */

static void set(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

static struct sockaddr_in loopback(int last, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  address.sin_addr.s_addr = htonl(0x7f000000u + (uint32_t)last);
  return address;
}

/* One source address has 28 000 ports, and a server may limit the connections of one address. */
static void bind_source(Client *client) {
  struct sockaddr_in source = loopback(1 + (int)(client - swarm) % plan.sources, 0);
  set(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  if (bind(client->fd, (struct sockaddr *)&source, sizeof source)) die("bind", strerror(errno), 99);
}

static void dial(Client *client) {
  client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (client->fd < 0) die("socket", strerror(errno), 99);
  set(client->fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (client->narrow) { /* so that the kernel holds little of what it will not read */
    set(client->fd, SOL_SOCKET, SO_RCVBUF, 4096);
    set(client->fd, IPPROTO_TCP, TCP_MAXSEG, 1400);
  }
  if (plan.sources > 1) bind_source(client);
  struct sockaddr_in server = loopback(1, plan.port);
  if (connect(client->fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
    die("connect", strerror(errno), 99);
  Buffer *out = &client->out;
  out->size += (size_t)sprintf(buffer_reserve(out, 512),
                               "GET %s HTTP/1.1\r\n"
                               "Host: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bG9hZGdlbmVyYXRvcjAwMQ==\r\n\r\n",
                               plan.plain ? "/ws" : "/socket.io/?EIO=4&transport=websocket", plan.port);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = client};
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event);
  client->state = UPGRADING;
  underway++;
}

static void redial_later(Client *client) {
  hang_up(client);
  client->state = IDLE;
  client->redial_at = now() + 0.2;
  underway--;
  swarm_redialled++;
}

/* ---- entering */

static bool begins(const char *text, size_t size, const char *with) {
  size_t length = strlen(with);
  return size >= length && !memcmp(text, with, length);
}

static void ready(Client *client) {
  client->state = READY;
  swarm_ready++;
  underway--;
  if (client->room >= 0) swarm_members[client->room]++;
}

static void join(Client *client) {
  char text[128];
  if (client->room < 0) return ready(client);
  const char *frame = plan.plain ? "{\"type\":\"join\",\"room\":\"bench-%d\",\"id\":1}" : "421[\"join\",{\"room\":\"bench-%d\"}]";
  int size = snprintf(text, sizeof text, frame, client->room);
  client->state = JOINING;
  swarm_send(client, text, (size_t)size);
}

static void enter_plain(Client *client, const char *text, size_t size) {
  if (client->state == OPENING && begins(text, size, "{\"type\":\"welcome\"")) {
    join(client);
  } else if (client->state == JOINING && begins(text, size, "{\"type\":\"ack\"")) {
    if (memmem(text, size, "\"ok\":false", 10)) die("join refused", text, size);
    ready(client);
  }
}

static void enter(Client *client, const char *text, size_t size) {
  if (client->state == OPENING && begins(text, size, "0{")) {
    client->state = CONNECTING;
    swarm_send(client, "40", 2);
  } else if (client->state == CONNECTING && begins(text, size, "44")) {
    die("refused", text, size);
  } else if (client->state == CONNECTING && begins(text, size, "40")) {
    join(client);
  } else if (client->state == JOINING && begins(text, size, "431[")) {
    if (memmem(text, size, "\"ok\":false", 10)) die("join refused", text, size);
    ready(client);
  }
}

/* ---- reading */

static void on_frame(Client *client, const Frame *frame) {
  if (frame->opcode == OP_PING) return put(client, OP_PONG, frame->data, frame->size);
  if (frame->opcode == OP_CLOSE) return lost(client, "close frame");
  if (frame->opcode != OP_TEXT) return;
  if (frame->size == 1 && *frame->data == '2') return swarm_send(client, "3", 1);
  if (plan.plain && begins(frame->data, frame->size, "{\"type\":\"ping\"")) return swarm_send(client, PONG, sizeof PONG - 1);
  if (client->state == READY) return heard(client, frame->data, frame->size);
  if (plan.plain) enter_plain(client, frame->data, frame->size);
  else enter(client, frame->data, frame->size);
}

static size_t upgrade(Client *client, const char *at, size_t have) {
  const char *end = memmem(at, have, "\r\n\r\n", 4);
  if (!end) return 0;
  if (begins(at, have, "HTTP/1.1 503")) {
    redial_later(client);
    return have;
  }
  if (!begins(at, have, "HTTP/1.1 101")) die("no upgrade", at, have);
  client->state = OPENING;
  return (size_t)(end + 4 - at);
}

static size_t consume(Client *client, const char *at, size_t have) {
  size_t used = client->state == UPGRADING ? upgrade(client, at, have) : 0;
  Frame frame;
  while (client->state > UPGRADING && client->state != GONE) {
    size_t took = wire_next(at + used, have - used, &frame);
    if (!took) break;
    used += took;
    on_frame(client, &frame);
  }
  return used;
}

/* Most reads end at a frame's end: frames are then read in place, and nothing is kept for the client. */
static void readable(Client *client) {
  static char inbox[INBOX];
  ssize_t got = read(client->fd, inbox, sizeof inbox);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return lost(client, got ? strerror(errno) : "end of file");
  Buffer *in = &client->in;
  bool kept = in->size > 0;
  if (kept) {
    memcpy(buffer_reserve(in, (size_t)got), inbox, (size_t)got);
    in->size += (size_t)got;
  }
  size_t have = kept ? in->size : (size_t)got;
  size_t used = consume(client, kept ? in->at : inbox, have);
  if (client->state == GONE || client->state == IDLE) return;
  if (kept) {
    buffer_drop(in, used);
  } else if (used < have) {
    memcpy(buffer_reserve(in, have - used), inbox + used, have - used);
    in->size = have - used;
  }
  if (!in->size && in->room) buffer_free(in);
}

static void on_event(Client *client, uint32_t events) {
  if (client->state == GONE || client->state == IDLE) return;
  if (client->stalled) return lost(client, "evicted");
  if (events & EPOLLOUT) {
    watch(client, EPOLLIN);
    if (client->out.size) flush(client);
  }
  if (client->state != GONE && client->state != IDLE && events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(client);
}

bool swarm_turn(int milliseconds) {
  static struct epoll_event events[EVENTS];
  bool typed = false;
  int count = epoll_wait(epoll_fd, events, EVENTS, milliseconds);
  for (int i = 0; i < count; i++) {
    if (events[i].data.ptr) on_event(events[i].data.ptr, events[i].events);
    else typed = true;
  }
  return typed;
}

/* ---- the whole swarm */

void swarm_start(int control_fd) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  signal(SIGPIPE, SIG_IGN);
  epoll_fd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  control = control_fd;
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, control, &event);
}

static void dial_some(int *next) {
  while (*next < swarm_size && underway < DIALLING_AT_ONCE) dial(&swarm[(*next)++]);
  if (!swarm_redialled) return;
  double time = now();
  for (int i = 0; i < *next && underway < DIALLING_AT_ONCE; i++)
    if (swarm[i].state == IDLE && swarm[i].redial_at <= time) dial(&swarm[i]);
}

void swarm_redial(void) {
  double time = now();
  for (int i = 0; i < swarm_size && underway < DIALLING_AT_ONCE; i++)
    if (swarm[i].flooder && swarm[i].state == IDLE && swarm[i].redial_at <= time) dial(&swarm[i]);
}

void swarm_open(const Plan *wanted) {
  plan = *wanted;
  swarm_size = plan.clients;
  swarm = calloc((size_t)swarm_size, sizeof *swarm);
  swarm_members = calloc((size_t)(plan.rooms + plan.apart) + 1, sizeof *swarm_members);
  for (int i = 0; i < swarm_size; i++) {
    swarm[i].room = plan.rooms ? i % plan.rooms : -1;
    swarm[i].narrow = i >= swarm_size - plan.narrow;
    swarm[i].flooder = i >= swarm_size - plan.flooders;
    if (swarm[i].flooder && plan.apart) swarm[i].room = plan.rooms + i % plan.apart;
  }
  opening = true;
  double latest = now() + 180;
  for (int next = 0; swarm_ready < swarm_size;) {
    dial_some(&next);
    swarm_turn(50);
    if (now() > latest) die("the swarm did not open within three minutes", "", 0);
  }
  opening = false;
}

void swarm_stall(int count) {
  for (int i = swarm_size - 1; i >= 0 && count > 0; i--) {
    Client *client = &swarm[i];
    if (client->state != READY || client->stalled) continue;
    client->stalled = true;
    if (client->room >= 0) swarm_members[client->room]--;
    watch(client, EPOLLRDHUP);
    count--;
  }
}

void swarm_leave(void) {
  for (int i = 0; i < swarm_size; i++) {
    if (swarm[i].state == GONE) continue;
    hang_up(&swarm[i]);
    swarm[i].state = GONE;
  }
}
