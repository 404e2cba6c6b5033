/* Preloaded into processes under test: below NO_MODES, files have the mode 0755 of their mount and chmod is refused, as
   on FAT, NTFS and CIFS, which know no files without a name. With NO_MODES_QUIET set, chmod succeeds and changes nothing. Folders can't be flushed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_there(int fd) {
    char link[64], path[PATH_MAX];
    const char *below = getenv("NO_MODES");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (!below || length < 0) return 0;
    path[length] = 0;
    return strncmp(path, below, strlen(below)) == 0;
}

static int refused(const char *path, int flags) {
    const char *below = getenv("NO_MODES");
    if ((flags & O_TMPFILE) != O_TMPFILE || !below || strncmp(path, below, strlen(below)) != 0) return 0;
    errno = EOPNOTSUPP;
    return 1;
}

static int opened(int fd, int flags) {
    if (fd >= 0 && (flags & O_CREAT) && is_there(fd)) syscall(SYS_fchmod, fd, 0755);
    return fd;
}

int open(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int mode = va_arg(more, int);
    va_end(more);
    if (refused(path, flags)) return -1;
    return opened(syscall(SYS_openat, AT_FDCWD, path, flags, mode), flags);
}

int open64(const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    int mode = va_arg(more, int);
    va_end(more);
    if (refused(path, flags)) return -1;
    return opened(syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode), flags);
}

int fchmod(int fd, mode_t mode) {
    if (!is_there(fd)) return syscall(SYS_fchmod, fd, mode);
    if (getenv("NO_MODES_QUIET")) return 0;
    errno = EPERM;
    return -1;
}

int fsync(int fd) {
    struct stat status;
    if (is_there(fd) && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_fsync, fd);
}
