/* Makes flock() fail in one folder, as on NFS, Lustre or SMB without a lock service, and shared
 * writable maps of its files, as in a virtual machine's shared folder (9p, vboxsf).
 *
 * LD_PRELOAD=./without_locks.so NOLOCK=/the/folder NOLOCK_ERRNO=37 COMMAND
 * (37 ENOLCK, 38 ENOSYS, 95 EOPNOTSUPP) */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int is_inside(int file) {
    char link[64], path[4096];
    const char *folder = getenv("NOLOCK");
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0 || !folder) return 0;
    path[length] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

int flock(int file, int operation) {
    const char *number = getenv("NOLOCK_ERRNO");
    if (number && is_inside(file)) {
        errno = atoi(number);
        return -1;
    }
    int (*real)(int, int) = dlsym(RTLD_NEXT, "flock");
    return real(file, operation);
}

void *mmap64(void *at, size_t size, int access, int flags, int file, off64_t offset) {
    if (file >= 0 && flags & MAP_SHARED && access & PROT_WRITE && is_inside(file)) {
        errno = ENODEV;
        return MAP_FAILED;
    }
    void *(*real)(void *, size_t, int, int, int, off64_t) = dlsym(RTLD_NEXT, "mmap64");
    return real(at, size, access, flags, file, offset);
}

void *mmap(void *at, size_t size, int access, int flags, int file, off_t offset) {
    return mmap64(at, size, access, flags, file, offset);
}
