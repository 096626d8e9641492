/* store_s3_keys.c - the two keys of the S3 store, each in a file of its own; see store_s3.h. */
#include "store_s3.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum nm_status check_file(int fd, const char *path, struct nm_error *err)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0)
        return nm_fail(err, NM_CONFIG, "cannot look at the key file %s: %s", path, strerror(errno));
    if (!S_ISREG(facts.st_mode))
        return nm_fail(err, NM_CONFIG, "the key file %s is no file", path);
    if (facts.st_uid != geteuid() && facts.st_uid != 0)
        return nm_fail(err, NM_CONFIG, "the key file %s belongs to user %u; it must be this user's or root's", path,
                       (unsigned)facts.st_uid);
    if (facts.st_mode & (S_IRWXG | S_IRWXO))
        return nm_fail(err, NM_CONFIG, "the key file %s has mode %04o, others can use it; chmod 600 it", path,
                       (unsigned)facts.st_mode & 07777U);
    return NM_OK;
}

enum nm_status im_s3_secret_read(const char *path, char out[IM_S3_SECRET_BYTES], struct nm_error *err)
{
    char text[IM_S3_SECRET_BYTES + 2]; /* a line end may follow */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return nm_fail(err, NM_CONFIG, "cannot open the key file %s: %s", path, strerror(errno));
    enum nm_status status = check_file(fd, path, err);
    ssize_t n = status == NM_OK ? read(fd, text, sizeof text) : 0;
    if (n < 0)
        status = nm_fail(err, NM_CONFIG, "cannot read the key file %s: %s", path, strerror(errno));
    (void)close(fd);
    size_t len = n > 0 ? (size_t)n : 0;
    if (len > 0 && text[len - 1] == '\n')
        len--;
    if (len > 0 && text[len - 1] == '\r')
        len--;
    bool good = len > 0 && len < IM_S3_SECRET_BYTES;
    for (size_t i = 0; i < len && good; i++)
        good = text[i] > ' ' && text[i] < 0x7f;
    if (status == NM_OK && !good)
        status = nm_fail(err, NM_CONFIG, "the key file %s must hold one line of 1 to %d printable characters", path,
                         IM_S3_SECRET_BYTES - 1);
    if (status == NM_OK) {
        memcpy(out, text, len);
        out[len] = '\0';
    }
    explicit_bzero(text, sizeof text);
    return status;
}
