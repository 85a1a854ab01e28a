/* Preloaded into a replica: its wall clock is off by as many nanoseconds as the file FAULTS_CLOCK says. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static int (*real_gettime)(clockid_t, struct timespec *);
static const volatile char *text;

__attribute__((constructor)) static void open_clock(void) {
    real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("FAULTS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(0, 4096, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) text = page;
}

static int64_t off(void) {
    int64_t value = 0, sign = 1;
    if (!text) return 0;
    for (int i = 0; i < 21 && text[i] && text[i] != '\n'; i++) {
        if (text[i] == '-') sign = -1;
        if (text[i] >= '0' && text[i] <= '9') value = value * 10 + (text[i] - '0');
    }
    return sign * value;
}

int clock_gettime(clockid_t which, struct timespec *out) {
    if (!real_gettime) open_clock();
    int failed = real_gettime(which, out);
    if (failed || (which != CLOCK_REALTIME && which != CLOCK_REALTIME_COARSE)) return failed;
    int64_t now = (int64_t)out->tv_sec * 1000000000 + out->tv_nsec + off();
    out->tv_sec = now / 1000000000;
    out->tv_nsec = now % 1000000000;
    return 0;
}

int gettimeofday(struct timeval *out, void *zone) {
    (void)zone;
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    if (!failed && out) {
        out->tv_sec = now.tv_sec;
        out->tv_usec = now.tv_nsec / 1000;
    }
    return failed;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
