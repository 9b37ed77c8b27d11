#!/usr/bin/env python3
"""What the measurements need of a cluster: how many pods it has, curl's time for them, and changes at a rate.

  cluster.py --kubeconfig FILE --context NAME --rate R --seconds S

patches R pod statuses a second, over connections that stay open, and says how many it were: what the API server
does not manage in time is left out, so the rate that is said is the rate that was.
"""
import argparse, base64, http.client, json, pathlib, ssl, subprocess, sys, tempfile, threading, time, urllib.parse

PROTOBUF = "application/vnd.kubernetes.protobuf"


class Cluster:
    def __init__(self, kubeconfig, context, scratch):
        view = json.loads(subprocess.run(["kubectl", "config", "view", "--raw", "-o", "json", "--kubeconfig", kubeconfig], check=True,
                                         capture_output=True, text=True).stdout)
        pick = lambda kind, name: next(x for x in view[kind] if x["name"] == name)
        c = pick("contexts", context)["context"]
        cluster, user = pick("clusters", c["cluster"])["cluster"], pick("users", c["user"])["user"]
        self.server = cluster["server"]

        def private(name, holder, key):
            if f"{key}-data" not in holder:
                return holder.get(key)
            path = scratch / f"{context}-{name}"
            path.touch(0o600)
            path.write_bytes(base64.b64decode(holder[f"{key}-data"]))
            return str(path)

        self.ca = private("ca", cluster, "certificate-authority")
        self.cert, self.key = private("crt", user, "client-certificate"), private("key", user, "client-key")
        self.token = user.get("token", "")

    def connect(self):
        tls = ssl.create_default_context(cafile=self.ca)
        if self.cert:
            tls.load_cert_chain(self.cert, self.key)
        url = urllib.parse.urlsplit(self.server)
        return http.client.HTTPSConnection(url.hostname, url.port, context=tls, timeout=30)

    def call(self, connection, method, path, body=None, kind="application/json"):
        headers = {"Accept": "application/json", "Content-Type": kind} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        connection.request(method, path, body and json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def page(self, limit):
        status, body = self.call(self.connect(), "GET", f"/api/v1/pods?limit={limit}")
        if status != 200:
            raise SystemExit(f"{self.server}: {status} for the list of pods")
        return json.loads(body)

    def pods(self):
        page = self.page(1)
        return len(page["items"]) + page["metadata"].get("remainingItemCount", 0)

    def curl(self):
        """Seconds and bytes of the whole list of pods, protobuf with gzip. Secrets go through standard input, not arguments."""
        lines = [f'url = "{self.server}/api/v1/pods"', f'header = "Accept: {PROTOBUF}"', "compressed", "silent", 'output = "/dev/null"',
                 r'write-out = "%{time_total} %{size_download} %{http_code}"']
        lines += [f'cacert = "{self.ca}"'] * bool(self.ca) + [f'header = "Authorization: Bearer {self.token}"'] * bool(self.token)
        lines += [f'cert = "{self.cert}"', f'key = "{self.key}"'] if self.cert else []
        out = subprocess.run(["curl", "-K", "-"], input="\n".join(lines), capture_output=True, text=True).stdout.split()
        if len(out) < 3 or out[2] != "200":
            raise SystemExit(f"curl got no list: {out}")
        return float(out[0]), int(out[1])

    def churn(self, rate, seconds, threads=16):
        """Patches, and the seconds they took."""
        names = [(p["metadata"]["namespace"], p["metadata"]["name"]) for p in self.page(2000)["items"]]
        began, done = time.time(), [0] * threads

        def work(t):
            connection, k = self.connect(), t
            while (now := time.time()) < began + seconds:
                if (left := began + k / rate - now) > 0:
                    time.sleep(left)
                elif left < -0.5:  # it does not keep up: those are left out
                    k += int(-left * rate / threads) * threads
                ns, name = names[k % len(names)]
                status, _ = self.call(connection, "PATCH", f"/api/v1/namespaces/{ns}/pods/{name}/status", {"status": {"reason": f"churn-{k}"}},
                                      "application/merge-patch+json")
                done[t] += status == 200
                k += threads

        workers = [threading.Thread(target=work, args=(t,)) for t in range(threads)]
        for w in workers:
            w.start()
        for w in workers:
            w.join()
        return sum(done), time.time() - began


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--kubeconfig", required=True); a.add_argument("--context", required=True)
    a.add_argument("--rate", type=float, default=50); a.add_argument("--seconds", type=float, default=30)
    o = a.parse_args()
    with tempfile.TemporaryDirectory() as d:
        n, seconds = Cluster(o.kubeconfig, o.context, pathlib.Path(d)).churn(o.rate, o.seconds)
    print(f"{n} patches in {seconds:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
