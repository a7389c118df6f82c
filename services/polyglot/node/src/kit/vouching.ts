// Who vouches for the host when it registers: the key beside the fleet's token, or a credential in
// a file.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";

import {
  HostCredentialSchema,
  SignedHostCredentialSchema,
} from "../../gen/tandem/control/v1/registration_pb.js";
import type { Host } from "../../gen/tandem/control/v1/registration_pb.js";
import { Token } from "./token.js";

export const HEADER = "x-tandem-host-bin";
const KEY_FILE_NAME = "hosts.key";
const OWN_MS = 60_000;
const PURPOSE = Buffer.from("tandem.control.v1.HostCredential\0");

/** What the host shows; throws NotVouched. */
export type Credential = (host: Host) => Uint8Array;

/** Nobody vouches for the host; the message says what to do. */
export class NotVouched extends Error {}

/** The key beside the token, which is made by whoever comes first. Throws TokenRefused. */
export function byKey(token: Token): Credential {
  const key = Token.kept(join(dirname(token.path), KEY_FILE_NAME));
  return (host) => {
    const services = [...new Set(host.placements.map((one) => one.service))].sort();
    const expireTime = timestampFromMs(Date.now() + OWN_MS);
    const credential = toBinary(
      HostCredentialSchema,
      create(HostCredentialSchema, { host: host.name, services, expireTime }),
    );
    const mac = key.sign(Buffer.concat([PURPOSE, credential]));
    return toBinary(
      SignedHostCredentialSchema,
      create(SignedHostCredentialSchema, { credential, mac }),
    );
  };
}

/** Somebody vouched for the host in a file, which is read anew each time. */
export function byFile(path: string): Credential {
  return () => {
    let text: string;
    try {
      text = readFileSync(path, "ascii").trim();
    } catch (error) {
      throw new NotVouched(`the host's credential cannot be read: ${(error as Error).message}`);
    }
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text))
      throw new NotVouched(`the host's credential is none: ${path}`);
    return Buffer.from(text, "base64");
  };
}
