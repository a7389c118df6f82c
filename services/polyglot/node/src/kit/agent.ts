// What an agent declares about itself: its contract, what it is built with, and how it is built.
import type { DescEnum, DescMessage, DescService, MessageShape } from "@bufbuild/protobuf";

import { Contract } from "./contract.js";
import type { Logger } from "./log.js";
import type { AnyServicer, Servicer } from "./seat.js";

/** What the kit gives an agent. */
export interface Scope {
  /** Name of the instance. */
  readonly name: string;
  /** A folder of the instance's own, which is there and outlives it. */
  readonly stateDir: string;
  readonly log: Logger;
}

/** An agent that was built: what answers its calls, and what there is to close when it goes. */
export interface Built<D extends DescService> {
  readonly servicer: Servicer<D>;
  readonly close?: () => Promise<void>;
}

export interface Declaration<D extends DescService, S extends DescMessage> {
  readonly contract: D;
  /** The `ErrorReason` of its family; left out by one that never refuses. */
  readonly reasons?: DescEnum;
  readonly settings: S;
  readonly build: (scope: Scope, settings: MessageShape<S>) => Promise<Built<D>>;
}

/** One declaration, as the host has it. */
export interface Agent {
  readonly contract: Contract;
  readonly settings: DescMessage;
  readonly build: (
    scope: Scope,
    settings: never,
  ) => Promise<{ servicer: AnyServicer; close?: () => Promise<void> }>;
}

export function agent<D extends DescService, S extends DescMessage>(
  declared: Declaration<D, S>,
): Agent {
  const contract = new Contract(declared.contract, declared.reasons);
  return {
    contract,
    settings: declared.settings,
    build: declared.build as unknown as Agent["build"],
  };
}
