/* Preloaded (ld.so(8)): counts how often the program forces a file to the disk. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

atomic_ulong fsyncs;

int fsync(int fd)
{
    fsyncs++;
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    fsyncs++;
    return (int)syscall(SYS_fdatasync, fd);
}
