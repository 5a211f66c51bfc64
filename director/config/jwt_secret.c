#include "director/config/jwt_secret.h"

#include "common/base/buffer.h"
#include "director/config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "jwt_secret"

enum {
	SECRET_BYTES = 32,
	/* 43 characters and the NUL */
	TEXT_SIZE =
		sodium_base64_ENCODED_LEN(SECRET_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
	/* Somebody may have put a longer one there. */
	FILE_MAX = 4096,
};

/* @return 0, -ENOENT, or why it is not to be trusted. */
static int check_file(int state_fd, const char *state_path, char why[static JWT_SECRET_WHY_SIZE])
{
	struct stat st;
	if (fstatat(state_fd, FILE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return -errno;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0 ||
		st.st_nlink != 1) {
		(void)snprintf(why, JWT_SECRET_WHY_SIZE,
			"%s/" FILE_NAME
			" must be a file of uid %u with mode 0600 and one name (it has uid "
			"%u, mode %04o): chmod 600 it if nobody read it, else remove it; a new one is made, "
			"and tokens made before are void",
			state_path, geteuid(), st.st_uid, st.st_mode & 07777U);
		return -EPERM;
	}
	return 0;
}

static bool is_base64url(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '_';
		if (!good) {
			return false;
		}
	}
	return true;
}

/* Any secret of our form, or a longer one; half a file is none. */
static int read_secret(int state_fd,
	const char *state_path,
	char **ret_secret,
	char why[static JWT_SECRET_WHY_SIZE])
{
	struct buffer text;
	buffer_init(&text, FILE_MAX);
	int r = file_read(state_fd, FILE_NAME, &text);
	if (r == 0 && text.n > 0 && text.p[text.n - 1] == '\n') {
		text.n--;
	}
	if (r == 0 && (text.n < TEXT_SIZE - 1 || !is_base64url(buffer_slice(&text)))) {
		r = -EBADMSG;
	}
	if (r == 0) {
		char *copy = slice_dup(buffer_slice(&text));
		r = copy == NULL ? -ENOMEM : 0;
		*ret_secret = copy == NULL ? *ret_secret : copy;
	} else {
		(void)snprintf(why, JWT_SECRET_WHY_SIZE,
			"%s/" FILE_NAME
			" %s: remove it; a new one is made, and tokens made before are void",
			state_path,
			r == -EBADMSG ? "is not a secret of at least 43 base64url characters"
				      : "cannot be read");
	}
	if (text.p != NULL) {
		explicit_bzero(text.p, text.cap);
	}
	buffer_deinit(&text);
	return r;
}

static int make_secret(int state_fd, const char *state_path, char why[static JWT_SECRET_WHY_SIZE])
{
	uint8_t random[SECRET_BYTES];
	char text[TEXT_SIZE];
	randombytes_buf(random, sizeof(random));
	(void)sodium_bin2base64(text, sizeof(text), random, sizeof(random),
		sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	/* The NUL's place takes the line end. */
	text[TEXT_SIZE - 1] = '\n';
	int r = file_replace(state_fd, FILE_NAME, 0600, slice_of(text, sizeof(text)));
	explicit_bzero(random, sizeof(random));
	explicit_bzero(text, sizeof(text));
	if (r < 0) {
		(void)snprintf(why, JWT_SECRET_WHY_SIZE, "%s/" FILE_NAME " cannot be written: %s",
			state_path, strerrordesc_np(-r));
	}
	return r;
}

int jwt_secret_keep(int state_fd,
	const char *state_path,
	char **ret_secret,
	char why[static JWT_SECRET_WHY_SIZE])
{
	int r = check_file(state_fd, state_path, why);
	if (r == -ENOENT) {
		r = make_secret(state_fd, state_path, why);
	} else if (r < 0 && r != -EPERM) {
		(void)snprintf(why, JWT_SECRET_WHY_SIZE, "%s/" FILE_NAME ": %s", state_path,
			strerrordesc_np(-r));
	}
	return r < 0 ? r : read_secret(state_fd, state_path, ret_secret, why);
}
