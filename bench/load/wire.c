#include "load.h"

#include <string.h>

/* A fixed mask is allowed and keeps runs comparable; it is not zero, so that the server really unmasks. */
static const unsigned char MASK[4] = {0x5a, 0xc3, 0x17, 0xe9};

static size_t pack_head(char *to, int opcode, size_t size) {
  to[0] = (char)(0x80 | opcode);
  if (size < 126) {
    to[1] = (char)(0x80 | size);
    return 2;
  }
  int bytes = size < 65536 ? 2 : 8;
  to[1] = (char)(0x80 | (bytes == 2 ? 126 : 127));
  for (int i = 0; i < bytes; i++) to[2 + i] = (char)((uint64_t)size >> 8 * (bytes - 1 - i));
  return 2 + bytes;
}

size_t wire_pack(char *to, int opcode, const char *data, size_t size) {
  size_t head = pack_head(to, opcode, size);
  memcpy(to + head, MASK, 4);
  head += 4;
  for (size_t i = 0; i < size; i++) to[head + i] = (char)(data[i] ^ MASK[i & 3]);
  return head + size;
}

size_t wire_next(const char *at, size_t have, Frame *frame) {
  const unsigned char *byte = (const unsigned char *)at;
  if (have < 2) return 0;
  uint64_t size = byte[1] & 127;
  size_t head = 2;
  if (size >= 126) {
    int bytes = size == 126 ? 2 : 8;
    head += bytes;
    if (have < head) return 0;
    size = 0;
    for (int i = 0; i < bytes; i++) size = size << 8 | byte[2 + i];
  }
  if (have - head < size) return 0;
  *frame = (Frame){.opcode = byte[0] & 15, .data = at + head, .size = size};
  return head + size;
}
