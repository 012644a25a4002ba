/* The load generator of `python -m bench`: many Socket.IO clients in one thread, steered over stdin.
 *
 * wire.c    WebSocket frames, as far as a client needs them
 * swarm.c   the clients: dialling, entering a room, reading, writing, going away
 * meter.c   the clock, the server's CPU time, latency samples
 * acks.c    acknowledgements: how many, how late, and the ids in them
 * flood.c   clients that send more than they may, and do not listen
 * main.c    the commands: open, run, stall, leave, status
 */
#ifndef LOAD_H
#define LOAD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- wire.c */

enum { OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10, FRAME_HEAD = 14 };

typedef struct {
  int opcode;
  const char *data;
  size_t size;
} Frame;

/* Writes a masked frame to `to` (room for `size` + FRAME_HEAD bytes) and returns its length. */
size_t wire_pack(char *to, int opcode, const char *data, size_t size);

/* Reads one frame of a server; returns the bytes it took, 0 while it is incomplete. */
size_t wire_next(const char *at, size_t have, Frame *frame);

/* ---- meter.c */

double now(void); /* seconds, monotonic */

void cpu_watch(const char *pids); /* comma-separated */
double cpu_seconds(void);         /* CPU time of all watched processes */

typedef struct {
  double *at;
  size_t count, room;
} Samples;

void samples_add(Samples *samples, double seconds);
void samples_sort(Samples *samples);
double samples_quantile(const Samples *samples, double share); /* of sorted samples */

/* ---- acks.c */

void acks_begin(const char *path);  /* a new run; the ids of what is acknowledged go to the file, "" for none */
unsigned acks_ask(uint64_t due_ns); /* the number of the next acknowledgement */
uint64_t acks_heard(const char *text, size_t size, bool good, bool measuring); /* returns when it was due */
uint64_t acks_missing(void);
void acks_report(void); /* fields for the line of JSON */

/* ---- flood.c */

typedef struct {
  double rate; /* events per second of all flooders together, 0 for none */
  bool acks, back;
} Flood;

void flood_begin(const Flood *flood, double begin);
void flood_turn(void);                                  /* sends what is due */
bool flood_heard(const char *text, size_t size);        /* true for what a flooder said, or was told about it */
void flood_report(void);                                /* fields for the line of JSON */

/* ---- swarm.c */

typedef struct {
  char *at;
  size_t size, room;
} Buffer;

enum State { IDLE, UPGRADING, OPENING, CONNECTING, JOINING, READY, GONE };

typedef struct {
  int fd;
  enum State state;
  bool narrow, stalled, flooder;
  int room;
  double redial_at; /* after a 503, as socket.io-client does it */
  Buffer in, out;
} Client;

typedef struct {
  int port, clients, rooms, sources, narrow, flooders, apart;
  bool plain; /* WebSockets without Socket.IO */
} Plan;

extern Client *swarm;
extern int swarm_size, swarm_ready, swarm_lost, swarm_evicted, swarm_redialled;
extern int swarm_cut; /* flooders whose connection was ended, each time */
extern int *swarm_members; /* per room: members that still read */

void swarm_start(int control_fd);
void swarm_open(const Plan *plan);          /* returns when every client is ready; exits when one cannot be */
bool swarm_turn(int milliseconds);          /* one turn of the event loop; true when the control file is readable */
void swarm_send(Client *client, const char *text, size_t size);
void swarm_redial(void);                    /* flooders that were cut, or told to wait, come back */
void swarm_stall(int count);                /* the last `count` clients stop reading for good */
void swarm_leave(void);                     /* closes every connection, all in one go */

/* ---- main.c: what a ready client hears, heartbeats excepted */

void heard(Client *client, const char *text, size_t size);

#endif
