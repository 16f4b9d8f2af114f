/* A disk that keeps only what was synced, for LD_PRELOAD: what a power failure would leave of the database.
 *
 * Writes go to the files as always, and are remembered as ranges; a sync copies the ranges of its file to the file of the same name in
 * the directory $POWER_CUT. Truncation and removal reach both at once. Only files named mosquitto.sqlite3... count, but for
 * -shm, which means nothing after a restart.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))
#define LONGEST 4096
#define NAME "mosquitto.sqlite3"

struct range {
	off64_t at;
	size_t n;
};

struct file {
	struct file *next;
	struct range *ranges; /* written and not synced */
	size_t n, room;
	char name[];
};

static struct file *files;

/* The name of a file that counts, or NULL. */
static const char *name_in(const char *path) {
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	return strncmp(name, NAME, strlen(NAME)) || strstr(name, "-shm") ? NULL : name;
}

static struct file *find(int fd) {
	char link[64], path[LONGEST];
	const char *name;
	struct file *file;
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	if (n < 0) return NULL;
	path[n] = 0;
	name = name_in(path);
	if (!name) return NULL;
	for (file = files; file; file = file->next)
		if (!strcmp(file->name, name)) return file;
	file = calloc(1, sizeof *file + strlen(name) + 1);
	if (!file) abort();
	strcpy(file->name, name);
	file->next = files;
	return files = file;
}

static const char *kept(const char *name, char path[LONGEST]) {
	snprintf(path, LONGEST, "%s/%s", getenv("POWER_CUT"), name);
	return path;
}

static void written(int fd, off64_t at, ssize_t n) {
	struct file *file = n > 0 ? find(fd) : NULL;

	if (!file) return;
	if (file->n == file->room) {
		file->room = file->room ? 2 * file->room : 64;
		file->ranges = realloc(file->ranges, file->room * sizeof *file->ranges);
		if (!file->ranges) abort();
	}
	file->ranges[file->n++] = (struct range){at, (size_t)n};
}

static void synced(int fd) {
	struct file *file = find(fd);
	char path[LONGEST], *data;
	int to;

	if (!file || !file->n) return;
	to = open(kept(file->name, path), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (to < 0) abort();
	for (size_t i = 0; i < file->n; i++) {
		const struct range *range = &file->ranges[i];
		ssize_t n;

		data = malloc(range->n);
		n = data ? pread64(fd, data, range->n, range->at) : -1;
		if (n < 0 || REAL(pwrite64)(to, data, (size_t)n, range->at) != n) abort();
		free(data);
	}
	close(to);
	file->n = 0;
}

int fsync(int fd) {
	int result = REAL(fsync)(fd);

	if (!result) synced(fd);
	return result;
}

int fdatasync(int fd) {
	int result = REAL(fdatasync)(fd);

	if (!result) synced(fd);
	return result;
}

ssize_t write(int fd, const void *data, size_t n) {
	off64_t at = find(fd) ? lseek64(fd, 0, SEEK_CUR) : 0;
	ssize_t result = REAL(write)(fd, data, n);

	written(fd, at, result);
	return result;
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t at) {
	ssize_t result = REAL(pwrite)(fd, data, n, at);

	written(fd, at, result);
	return result;
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
	ssize_t result = REAL(pwrite64)(fd, data, n, at);

	written(fd, at, result);
	return result;
}

int ftruncate64(int fd, off64_t n) {
	int result = REAL(ftruncate64)(fd, n);
	struct file *file = result ? NULL : find(fd);
	char path[LONGEST];

	if (file && truncate64(kept(file->name, path), n)) return result; /* not there yet */
	return result;
}

int unlink(const char *path) {
	int result = REAL(unlink)(path);
	const char *name = result ? NULL : name_in(path);
	char other[LONGEST];

	if (!name) return result;
	REAL(unlink)(kept(name, other));
	for (struct file *file = files; file; file = file->next)
		if (!strcmp(file->name, name)) file->n = 0;
	return result;
}
