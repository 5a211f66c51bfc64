/* The secret of tokens in development, when none is given: made once, kept in the state directory. */
#pragma once

enum { JWT_SECRET_WHY_SIZE = 512 };

/**
 * Reads `jwt_secret` in the state directory or makes it: 32 random bytes as base64url. As the user
 * who runs the director, after root was given up.
 * @param state_fd the directory; locked, so that one process at a time does this.
 * @param state_path its name, for the text.
 * @param ret_secret a heap string, to be wiped and freed by the caller.
 * @param why for the operator when it fails.
 * @return 0; -EPERM for a file with another owner, more names than one or rights for others;
 *   -EBADMSG for a content that is no secret of ours; another negative errno.
 */
int jwt_secret_keep(int state_fd,
	const char *state_path,
	char **ret_secret,
	char why[static JWT_SECRET_WHY_SIZE]);
