/* A disk that fails when it is told to, for LD_PRELOAD.
 *
 * While the file $FAILING_DISK exists, what it names fails: "sync EIO", "write ENOSPC" and "write EROFS", a word each for the
 * calls and the error. Only files with "mosquitto." in their name and none of "log", "conf" after that are on this disk.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int on_this_disk(int fd) {
	char link[64], path[4096];
	const char *name;
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	if (n < 0) return 0;
	path[n] = 0;
	name = strstr(path, "mosquitto.");
	return name && !strstr(name, ".log") && !strstr(name, ".conf");
}

/* Whether this call fails now; errno says how. */
static int fails(const char *call, int fd) {
	char said[64] = "";
	const char *flag = getenv("FAILING_DISK");
	int before = errno, error, flag_fd;

	if (!flag || (flag_fd = open(flag, O_RDONLY | O_CLOEXEC)) < 0) {
		errno = before;
		return 0;
	}
	error = read(flag_fd, said, sizeof said - 1) < 0;
	close(flag_fd);
	errno = before;
	if (error || !strstr(said, call) || !on_this_disk(fd)) return 0;
	errno = strstr(said, "ENOSPC") ? ENOSPC : strstr(said, "EROFS") ? EROFS : EIO;
	return 1;
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

int fsync(int fd) { return fails("sync", fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails("sync", fd) ? -1 : REAL(fdatasync)(fd); }

ssize_t write(int fd, const void *data, size_t n) { return fails("write", fd) ? -1 : REAL(write)(fd, data, n); }
ssize_t writev(int fd, const struct iovec *data, int n) { return fails("write", fd) ? -1 : REAL(writev)(fd, data, n); }
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return fails("write", fd) ? -1 : REAL(pwrite)(fd, data, n, at); }
ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
	return fails("write", fd) ? -1 : REAL(pwrite64)(fd, data, n, at);
}
int ftruncate64(int fd, off64_t n) { return fails("write", fd) ? -1 : REAL(ftruncate64)(fd, n); }
int fallocate(int fd, int mode, off_t at, off_t n) { return fails("write", fd) ? -1 : REAL(fallocate)(fd, mode, at, n); }
