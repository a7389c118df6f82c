// `npm run lock`: resolves the packages anew and keeps names, versions and hashes: a lock file names no address.
import { readFileSync, writeFileSync } from "node:fs";

const path = new URL("package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(path, "utf8"));
for (const one of Object.values(lock.packages)) {
  delete one.resolved;
  delete one.funding;
}
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
