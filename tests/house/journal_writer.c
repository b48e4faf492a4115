/*
 * Writes a journal of cmfd by docs/journal.md and docs/wire.md alone: no code of cmfd, no library.
 *
 *   journal_writer DIRECTORY INSTANCE RUN EXECUTION N [die]
 *
 * INSTANCE, RUN and EXECUTION are 32 hexadecimal digits. It logs a parameter, N values of "loss"
 * (1 / (step + 1)), N rows of "a" and "b" (step, -step), and how it ended. With "die", it kills
 * itself in the middle of a record after all those instead, and says nothing of its end.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { FILE_HEADER = 4096, BLOCK_HEADER = 64, BLOCK = 1 << 16 };
enum { EVENTS = 1, POINTS = 2, ROWS = 3 };

static void die(const char *what) { perror(what); exit(1); }

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint32_t crc32_of(const void *data, size_t n) {
    uint32_t crc = 0xFFFFFFFF;
    for (const uint8_t *at = data; n--; at++) {
        crc ^= *at;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
    return ~crc;
}

static void from_hex(const char *hex, uint8_t id[16]) {
    for (int i = 0; i < 16; i++)
        if (sscanf(hex + 2 * i, "%2hhx", &id[i]) != 1) die("not an id");
}

/* ---- the file ------------------------------------------------------------------------------ */

static int fd;
static int64_t size;
static uint32_t next_number = 1;

/* A block in use: where its records go, how many bytes it has for them, its mark. */
struct block { uint8_t *data; size_t used, room; uint32_t mark, kind, record_bytes, group; };

static void put32(uint8_t *at, uint32_t value) { memcpy(at, &value, 4); } /* little-endian host */
static void put64(uint8_t *at, int64_t value) { memcpy(at, &value, 8); }

/* What makes a record complete: nothing before it may be moved behind it. */
static void put_last(uint8_t *at, uint32_t value) {
    atomic_store_explicit((_Atomic uint32_t *)at, value, memory_order_release);
}

static void make_file(const char *directory, const char *instance) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.cmfj", directory, instance);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int lock = open(path, O_RDWR | O_CLOEXEC); /* held, and never closed, while this process lives */
    if (fd < 0 || lock < 0 || flock(lock, LOCK_EX | LOCK_NB)) die(path);

    uint8_t head[FILE_HEADER] = "CMFDJRNL";
    uint16_t version = 1, header_bytes = FILE_HEADER;
    memcpy(head + 8, &version, 2);
    memcpy(head + 10, &header_bytes, 2);
    put32(head + 12, BLOCK);
    from_hex(instance, head + 16);
    put32(head + 48, getuid());
    put32(head + 52, getpid());
    put64(head + 56, now_ns());
    put32(head + 64, crc32_of(head, 64));
    if (pwrite(fd, head, FILE_HEADER, 0) != FILE_HEADER) die("header");
    size = FILE_HEADER;
}

static struct block new_block(uint32_t kind, uint32_t record_bytes, uint32_t group) {
    if (posix_fallocate(fd, size, BLOCK)) die("no room");
    uint8_t *at = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, size);
    if (at == MAP_FAILED) die("mmap");
    size += BLOCK;
    uint32_t mark = next_number++;
    memcpy(at, "CMFB", 4);
    put32(at + 4, kind);
    put32(at + 8, mark);
    put32(at + 12, record_bytes);
    put32(at + 16, group);
    put32(at + 20, crc32_of(at, 20));
    return (struct block){at + BLOCK_HEADER, 0, BLOCK - BLOCK_HEADER, mark, kind, record_bytes, group};
}

static uint8_t *next_slot(struct block *block) {
    if (block->used + block->record_bytes > block->room)
        *block = new_block(block->kind, block->record_bytes, block->group);
    uint8_t *slot = block->data + block->used;
    block->used += block->record_bytes;
    return slot;
}

static void log_point(struct block *points, uint32_t series, int64_t step, double value) {
    uint8_t *slot = next_slot(points);
    put64(slot, now_ns());
    put64(slot + 8, step);
    memcpy(slot + 16, &value, 8);
    put32(slot + 24, series);
    put_last(slot + 28, points->mark);
}

static void log_row(struct block *rows, int64_t step, double a, double b) {
    uint8_t *slot = next_slot(rows);
    put64(slot, now_ns());
    put64(slot + 8, step);
    memcpy(slot + 16, &a, 8);
    memcpy(slot + 24, &b, 8);
    put32(slot + 32, 1);
    put_last(slot + 36, rows->mark);
}

/* ---- events: MessagePack maps ---------------------------------------------------------------- */

static struct block events;
static uint8_t payload[4096];
static size_t n;

static void byte(uint8_t value) { payload[n++] = value; }
static void big_endian(uint64_t value, int bytes) { while (bytes--) byte(value >> 8 * bytes); }
static void text(const char *s) { byte(0xd9); byte(strlen(s)); while (*s) byte(*s++); }
static void integer(int64_t value) { byte(0xd3); big_endian(value, 8); }
static void id_(const uint8_t id[16]) { byte(0xc4); byte(16); memcpy(payload + n, id, 16); n += 16; }
static void begin(int n_fields, const char *type) {
    n = 0;
    byte(0xde); big_endian(n_fields + 2, 2);
    text("t"); text(type);
    text("at_ns"); integer(now_ns());
}

static void end(void) {
    size_t bytes = 8 + ((n + 7) & ~(size_t)7);
    if (events.used + bytes > events.room) events = new_block(EVENTS, 1, 0);
    uint8_t *at = events.data + events.used;
    memcpy(at + 8, payload, n); /* what follows, up to `bytes`, is zero already */
    put32(at + 4, crc32_of(payload, n));
    put_last(at, n);
    events.used += bytes;
}

static void define_series(uint32_t number, const uint8_t execution[16], const char *name) {
    begin(3, "series");
    text("id"); integer(number);
    text("execution"); id_(execution);
    text("name"); text(name);
    end();
}

static void say_who(const uint8_t run[16], const uint8_t execution[16]) {
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    begin(1, "run");
    text("run"); id_(run);
    end();
    begin(4, "execution");
    text("execution"); id_(execution);
    text("run"); id_(run);
    text("pipeline"); text("c");
    text("stage"); text("write");
    end();
    begin(3, "process");
    text("execution"); id_(execution);
    text("host"); text(host);
    text("pid"); integer(getpid());
    end();
}

int main(int argc, char **argv) {
    if (argc < 6) return 2;
    uint8_t run[16], execution[16];
    from_hex(argv[3], run);
    from_hex(argv[4], execution);
    long count = atol(argv[5]);

    make_file(argv[1], argv[2]);
    events = new_block(EVENTS, 1, 0);
    say_who(run, execution);
    begin(4, "param");
    text("execution"); id_(execution);
    text("key"); text("count");
    text("type"); text("int");
    text("value"); integer(count);
    end();
    define_series(1, execution, "loss");
    define_series(2, execution, "a");
    define_series(3, execution, "b");
    begin(2, "group");
    text("id"); integer(1);
    text("series"); byte(0x92); integer(2); integer(3);
    end();

    struct block points = new_block(POINTS, 32, 0), rows = new_block(ROWS, 24 + 8 * 2, 1);
    for (long step = 0; step < count; step++) {
        log_point(&points, 1, step, 1.0 / (double)(step + 1));
        log_row(&rows, step, (double)step, (double)-step);
    }
    if (argc > 6) {
        put64(next_slot(&points), now_ns()); /* a record without its end */
        kill(getpid(), SIGKILL);
    }
    begin(3, "process-state");
    text("execution"); id_(execution);
    text("status"); text("completed");
    text("exit_code"); integer(0);
    end();
    return 0;
}
