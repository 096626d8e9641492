"""Servers that ask for passwords and speak TLS: a broker with SASL_SSL and with client certificates, a Redis with users.

Both keep a plain door on another port for the tests' own readers. The secrets are distinctive, so that a test can look
for them in every line that a program wrote.
"""

import re
import subprocess

from confluent_kafka.admin import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from .servers import BROKER, ROOT, Kafka, Redis, free_port

USER = "newsmill"
KAFKA_PASSWORD = "kestrel-4711"
REDIS_PASSWORD = "osprey-4712"
PASS_PHRASE = "tern-4713"  # of locked.key
SECRETS = (KAFKA_PASSWORD, REDIS_PASSWORD, PASS_PHRASE)
ENVIRONMENT = {"NM_TEST_KAFKA_PASSWORD": KAFKA_PASSWORD, "NM_TEST_REDIS_PASSWORD": REDIS_PASSWORD,
               "NM_TEST_PASS_PHRASE": PASS_PHRASE}


def make_certificates(folder):
    """Those that tests/support/make-certificates lists, and broker.pem: key and certificate of server in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([str(ROOT / "tests/support/make-certificates"), str(folder)], check=True, timeout=60)
    (folder / "broker.pem").write_text((folder / "server.key").read_text() + (folder / "server.pem").read_text())
    return folder


class SecuredKafka(Kafka):
    """`secured` is the address with SASL_SSL (PLAIN and SCRAM-SHA-512), `mutual` the one that asks for certificates."""

    def __init__(self, certificates):
        sasl, ssl = free_port(), free_port()
        self.secured, self.mutual = f"127.0.0.1:{sasl}", f"127.0.0.1:{ssl}"
        doors = f"PLAINTEXT://127.0.0.1:@PORT@,SASL_SSL://{self.secured},SSL://{self.mutual}"
        super().__init__(properties=[
            *BROKER,
            f"listeners={doors},CONTROLLER://127.0.0.1:@CONTROLLER_PORT@",
            f"advertised.listeners={doors}",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT",
            "ssl.keystore.type=PEM", f"ssl.keystore.location={certificates}/broker.pem",
            "ssl.truststore.type=PEM", f"ssl.truststore.location={certificates}/ca.pem",
            "listener.name.ssl.ssl.client.auth=required",
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config="
            "org.apache.kafka.common.security.scram.ScramLoginModule required;",
            "listener.name.sasl_ssl.plain.sasl.jaas.config="
            f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{KAFKA_PASSWORD}";'])

    def add_scram_user(self):
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        wanted = [UserScramCredentialUpsertion(USER, info, KAFKA_PASSWORD.encode())]
        admin = self.admin()
        for future in admin.alter_user_scram_credentials(wanted).values():
            future.result(30)


def documented_acl():
    """The words behind ACL in the line of common/README.md."""
    line = re.search(r"^ACL (SETUSER newsmill .*)$", (ROOT / "common/README.md").read_text(), re.MULTILINE)
    return line[1].split()


class SecuredRedis(Redis):
    """`secured` is a rediss:// URL; its user has exactly what the README says, for one namespace."""

    def __init__(self, certificates):
        self.tls_port = free_port()
        super().__init__(extra=[
            "--tls-port", str(self.tls_port), "--tls-cert-file", f"{certificates}/server.pem",
            "--tls-key-file", f"{certificates}/server.key", "--tls-ca-cert-file", f"{certificates}/ca.pem",
            "--tls-auth-clients", "no"])
        users = self.folder / "users.acl"
        users.write_text("user default on nopass ~* &* +@all\n")
        self.extra += ["--aclfile", str(users)]
        self.secured = f"rediss://127.0.0.1:{self.tls_port}/0"

    def allow(self, namespace, *more):
        words = [{">PASSWORD": f">{REDIS_PASSWORD}", "~news:*": f"~{namespace}:*"}.get(word, word)
                 for word in documented_acl()]
        with self.client() as client:
            client.execute_command("ACL", "DELUSER", USER)
            client.execute_command("ACL", *words, *more)
            client.acl_save()  # the users are there again after a kill
            client.acl_log_reset()
