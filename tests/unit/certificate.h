/* SPDX-License-Identifier: ISC */
/*
 * certificate - certificates for the tests of TLS, each its own authority, good for an hour.
 *
 * Memory:   the certificate is the caller's, who frees it with X509_free().
 * Failure:  fails the test.
 */
#ifndef CERTIFICATE_H
#define CERTIFICATE_H

#include <openssl/x509.h>

/* For the host `name`; its subject is subject.example.com. */
X509 *certificate_new(EVP_PKEY *key, const char *name);

void certificate_write(X509 *x, const char *path);	/* as PEM */

#endif
