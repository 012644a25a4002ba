/* The floor: floor PORT serves just enough of Socket.IO over WebSocket to carry chat, and does nothing else.
 *
 * One thread, one epoll, one write(2) per delivery: no parsing beyond a search for the room, no timers, no limits,
 * no error handling. What a server spends above this is what it adds to the kernel's own price.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INBOX = 4096, MAX_ROOMS = 4096, MAX_NAME = 64, EVENTS = 512 };

typedef struct {
  int fd, upgraded, room;
  size_t have;
  unsigned char in[INBOX];
} Member;

typedef struct {
  char name[MAX_NAME];
  Member **members;
  int count, space;
} Room;

static Room rooms[MAX_ROOMS];
static int epoll_fd;

static size_t frame(unsigned char *to, const char *text, size_t size) {
  size_t head = size < 126 ? 2 : 4;
  to[0] = 0x81;
  to[1] = size < 126 ? (unsigned char)size : 126;
  if (head == 4) to[2] = (unsigned char)(size >> 8), to[3] = (unsigned char)size;
  memcpy(to + head, text, size);
  return head + size;
}

static void put(const Member *member, const void *bytes, size_t size) {
  if (write(member->fd, bytes, size) < 0) return; /* its end of file will come */
}

static void put_text(const Member *member, const char *text) {
  unsigned char out[512];
  put(member, out, frame(out, text, strlen(text)));
}

/* The room named in the payload; open addressing by the name's hash. */
static int find_room(const char *text, size_t size) {
  static const char KEY[] = "\"room\":\"";
  const char *name = memmem(text, size, KEY, sizeof KEY - 1);
  if (!name) return -1;
  name += sizeof KEY - 1;
  size_t length = (size_t)((const char *)memchr(name, '"', (size_t)(text + size - name)) - name);
  unsigned slot = 5381;
  for (size_t i = 0; i < length; i++) slot = slot * 33 + (unsigned char)name[i];
  for (slot %= MAX_ROOMS; rooms[slot].name[0]; slot = (slot + 1) % MAX_ROOMS)
    if (strlen(rooms[slot].name) == length && !memcmp(rooms[slot].name, name, length)) return (int)slot;
  memcpy(rooms[slot].name, name, length);
  return (int)slot;
}

static void join(Member *member, int index) {
  Room *room = &rooms[index];
  if (room->count == room->space)
    room->members = realloc(room->members, sizeof *room->members * (size_t)(room->space = 2 * room->space + 16));
  room->members[room->count++] = member;
  member->room = index;
}

static void leave(Member *member) {
  Room *room = member->room < 0 ? NULL : &rooms[member->room];
  for (int i = 0; room && i < room->count; i++)
    if (room->members[i] == member) {
      room->members[i] = room->members[--room->count];
      break;
    }
  close(member->fd);
  free(member);
}

static void relay(const Room *room, const char *text, size_t size) {
  unsigned char out[INBOX + 16];
  size_t length = frame(out, text, size);
  for (int i = 0; i < room->count; i++) put(room->members[i], out, length);
}

static int begins(const char *text, size_t size, const char *with) {
  return size >= strlen(with) && !memcmp(text, with, strlen(with));
}

static void ping(const Member *member, const char *text) {
  char answer[64];
  snprintf(answer, sizeof answer, "43%d[{\"ok\":true,\"pong\":true}]", atoi(text + 2));
  put_text(member, answer);
}

static void hear(Member *member, const char *text, size_t size) {
  if (begins(text, size, "42[\"chat\"")) {
    relay(&rooms[find_room(text, size)], text, size);
  } else if (begins(text, size, "421[\"join\"")) {
    join(member, find_room(text, size));
    put_text(member, "431[{\"ok\":true}]");
  } else if (size == 2 && begins(text, size, "40")) {
    put_text(member, "40{\"sid\":\"floor\"}");
  } else if (begins(text, size, "42") && memmem(text, size, "[\"ping\"", 7)) {
    ping(member, text);
  }
}

static size_t upgrade(Member *member) {
  static const char ANSWER[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
  unsigned char *end = memmem(member->in, member->have, "\r\n\r\n", 4);
  if (!end) return 0;
  member->upgraded = 1;
  put(member, ANSWER, sizeof ANSWER - 1);
  put_text(member, "0{\"sid\":\"floor\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}");
  return (size_t)(end + 4 - member->in);
}

static size_t next_frame(Member *member, size_t at) {
  unsigned char *head = member->in + at;
  size_t have = member->have - at, size, skip = 6;
  if (have < skip) return 0;
  size = head[1] & 127;
  if (size == 126) size = (size_t)head[2] << 8 | head[3], skip = 8;
  if (have < skip + size) return 0;
  unsigned char *mask = head + skip - 4, *body = head + skip;
  for (size_t i = 0; i < size; i++) body[i] ^= mask[i & 3];
  hear(member, (char *)body, size);
  return skip + size;
}

static void readable(Member *member) {
  ssize_t got = read(member->fd, member->in + member->have, INBOX - member->have);
  if (got <= 0) return leave(member);
  member->have += (size_t)got;
  size_t used = member->upgraded ? 0 : upgrade(member);
  for (size_t took = 1; member->upgraded && took; used += took) took = next_frame(member, used);
  memmove(member->in, member->in + used, member->have -= used);
}

static void accept_all(int listener) {
  for (int fd, on = 1; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
    Member *member = calloc(1, sizeof *member);
    member->fd = fd;
    member->room = -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = member};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
  }
}

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
    perror("listen");
    exit(1);
  }
  return fd;
}

int main(int count, char **words) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  int listener = listen_on(count > 1 ? atoi(words[1]) : 8000);
  epoll_fd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int ready = epoll_wait(epoll_fd, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.ptr) readable(events[i].data.ptr);
      else accept_all(listener);
    }
  }
}
