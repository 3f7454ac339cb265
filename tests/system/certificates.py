# SPDX-License-Identifier: ISC
"""certificates - authorities and certificates for the tests, made by OpenSSL's own tool."""
import os
import subprocess


def run(*command, stdin=None):
    done = subprocess.run(command, input=stdin, capture_output=True)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stderr.decode()}"
    return done.stdout


class Certificate:
    """A certificate and its key; signed by `issuer`, or by itself."""

    def __init__(self, folder, label, name="", issuer=None, is_ca=False, is_expired=False):
        self.cert, self.key = os.path.join(folder, label + ".crt"), os.path.join(folder, label + ".key")
        request = os.path.join(folder, label + ".csr")
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key)
        run("openssl", "req", "-new", "-key", self.key, "-subj", f"/CN={name or label}", "-out", request)
        extensions = os.path.join(folder, label + ".ext")
        with open(extensions, "w") as file:
            file.write("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n" if is_ca else
                       f"subjectAltName=DNS:{name}\n" if name else "basicConstraints=CA:FALSE\n")
        signer = ["-CA", issuer.cert, "-CAkey", issuer.key, "-CAcreateserial"] if issuer else ["-signkey", self.key]
        run("openssl", "x509", "-req", "-in", request, "-extfile", extensions, "-out", self.cert,
            "-days", "-1" if is_expired else "30", *signer)

    def pin(self):
        """SHA-256 of the SubjectPublicKeyInfo in base64, as RFC 7858 has it."""
        public = run("openssl", "pkey", "-in", self.key, "-pubout", "-outform", "der")
        digest = run("openssl", "dgst", "-sha256", "-binary", stdin=public)
        return run("openssl", "base64", stdin=digest).decode().strip()
