/* Makes flock() fail in one folder, as on NFS, Lustre or SMB without a lock service.
 *
 * LD_PRELOAD=./without_locks.so NOLOCK=/the/folder NOLOCK_ERRNO=37 COMMAND
 * (37 ENOLCK, 38 ENOSYS, 95 EOPNOTSUPP) */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int flock(int file, int operation) {
    char link[64], path[4096];
    const char *folder = getenv("NOLOCK"), *number = getenv("NOLOCK_ERRNO");
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0 && folder && number) {
        path[length] = 0;
        if (strncmp(path, folder, strlen(folder)) == 0) {
            errno = atoi(number);
            return -1;
        }
    }
    int (*real)(int, int) = dlsym(RTLD_NEXT, "flock");
    return real(file, operation);
}
