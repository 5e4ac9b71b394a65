/// <reference lib="esnext.disposable" />

/** "joining", "here", "away" (the socket is lost, and the client reconnects) or "over". */
export type PlaceState = "joining" | "here" | "away" | "over";

export type EndReason =
  | "finished"
  | "cut"
  | "crashed"
  | "node_lost"
  | "abandoned"
  | "kicked"
  | "left";

export type ErrorCode =
  | "bad_json"
  | "bad_frame"
  | "unknown_type"
  | "no_such_kind"
  | "no_such_room"
  | "full"
  | "locked"
  | "no_game_node"
  | "not_in_a_room"
  | "already_in_a_room"
  | "bad_input"
  | "too_big"
  | "too_many";

/** A message from the room. `seq` rises; a skipped number is another's private message. */
export interface Message<Heard = any> {
  readonly seq: number;
  readonly data: Heard;
}

export interface Player {
  readonly id: string;
  readonly name: string;
}

/** How a place ended; `result` is what the room's function returned, if it returned. */
export interface Ended<Result = any> {
  readonly reason: EndReason;
  readonly result?: Result;
}

export interface PlaceEventMap<Heard = any> {
  /** A message from the room. */
  message: Event & Message<Heard>;
  state: Event & { readonly state: PlaceState };
  ended: Event & Ended;
  /** A node drains: in `seconds`, the work that is left on it is cut. */
  draining: Event & { readonly tier: "api" | "game"; readonly seconds: number };
  /** The server refused something; `n` is the input's number, if it was an input. */
  error: Event & {
    readonly code: ErrorCode;
    readonly message: string;
    readonly retry: boolean;
    readonly n?: number;
  };
  /** The history was too short: `state` is the room's picture; messages go on after `seq`. */
  picture: Event & { readonly state: any; readonly seq: number };
  /** The room had not started, and its players are in another one: numbers begin anew. */
  regrouped: Event & { readonly room: string };
}

/** The base of all errors of this module. */
export class LastcallError extends Error {}
/** No node answered within `joinTimeout`. */
export class ConnectFailed extends LastcallError {}
/** The server refuses the seat. */
export class JoinRefused extends LastcallError {
  readonly code: ErrorCode;
  readonly retry: boolean;
}
/** The place is lost and cannot be resumed. */
export class PlaceLost extends LastcallError {
  /** 4001 not allowed (AuthRefused), 4002 protocol, 4003 kicked, 4004 no such place, 4005 taken over. */
  readonly code: number;
}
/** The server refuses who the client is, for good: its token is missing or not valid (4001). */
export class AuthRefused extends PlaceLost {}
/** A value over 64 KiB. */
export class MessageTooBig extends LastcallError {}
/** More than 1 024 calls of `say` wait for the room. */
export class TooManyWaiting extends LastcallError {}

/**
 * A player's place in a room; it outlives its socket. Made by `connect`.
 *
 * Iterate it or listen to "message", not both. Up to 1 024 unread messages are kept. With more, the
 * socket is closed, and the place is resumed when half of them are read.
 */
export class Place<Heard = any, Said = any>
  extends EventTarget
  implements AsyncIterable<Message<Heard>>
{
  private constructor();
  readonly state: PlaceState;
  readonly room: string;
  readonly kind: string;
  readonly you: string;
  /** The players who had a seat when this place was taken. */
  readonly players: readonly Player[];
  /** The number of the last message received, read or not. */
  readonly seq: number;
  /** Set once the place has ended. */
  readonly ended: Ended | null;
  /** Set once the place is lost. */
  readonly error: PlaceLost | null;
  /** The last api node that was reached. */
  readonly node: string;
  readonly url: string;
  /** Inputs that the room has not acknowledged yet; 64 at the most. */
  readonly unacked: number;
  readonly resumes: number;
  readonly regroups: number;
  /** Resumes for which the room's history was too short. */
  readonly incomplete: number;
  /** Inputs that were refused. */
  readonly refused: number;
  /** Messages that came again and were dropped. */
  readonly repeats: number;
  /** Numbers that were skipped: other players' private messages. */
  readonly holes: number;
  /** Resolves when the place has ended; rejects with PlaceLost. */
  readonly closed: Promise<Ended>;

  onmessage: ((event: PlaceEventMap<Heard>["message"]) => void) | null;
  onstate: ((event: PlaceEventMap["state"]) => void) | null;
  onended: ((event: PlaceEventMap["ended"]) => void) | null;
  ondraining: ((event: PlaceEventMap["draining"]) => void) | null;
  onerror: ((event: PlaceEventMap["error"]) => void) | null;
  onpicture: ((event: PlaceEventMap["picture"]) => void) | null;
  onregrouped: ((event: PlaceEventMap["regrouped"]) => void) | null;

  /**
   * Says a value that JSON can hold; rejects with a TypeError if it could not arrive as it is, such as
   * NaN, a Map, or half of an emoji. Resolves to the input's number once it is among the 64 that may
   * be unacknowledged; it is then said until the room has it. Resolves to 0 after the end.
   */
  say(value: Said): Promise<number>;
  /** Gives the seat up, within 5 s. */
  leave(): Promise<void>;
  [Symbol.asyncIterator](): AsyncIterableIterator<Message<Heard>>;
  /** For `await using`: leaves. */
  [Symbol.asyncDispose](): Promise<void>;

  addEventListener<T extends keyof PlaceEventMap>(
    type: T,
    listener: (event: PlaceEventMap<Heard>[T]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<T extends keyof PlaceEventMap>(
    type: T,
    listener: (event: PlaceEventMap<Heard>[T]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

export interface ConnectOptions {
  /** A seat in a room of this kind: in an open one or, if there is none, in a new one. */
  kind?: string | null;
  /** A seat in this room. */
  room?: string | null;
  /** A new room for this seat. */
  new?: boolean;
  isNew?: boolean;
  /** A new room that no join by kind finds: for those who have its id. */
  private?: boolean;
  isPrivate?: boolean;
  /** The options of a room that is opened for this seat. */
  options?: Record<string, unknown> | null;
  /** The name that other players see. */
  name?: string | null;
  /** The same key again gives the same place. Random if not given. */
  key?: string | null;
  /**
   * Says who the client is: a text, or a function that is asked anew for each socket. It goes into the
   * list of subprotocols, so it has only the characters of one, as a JWT does.
   */
  token?: string | null | (() => string | Promise<string>);
  /** Milliseconds for one attempt, and for one token (3 000). */
  connectTimeout?: number;
  /** Milliseconds until the seat is granted, all attempts together (10 000). */
  joinTimeout?: number;
  /** When it is aborted, the seat is given up. */
  signal?: AbortSignal;
  /**
   * `sessionStorage`: the place survives a reload of the page. `connect` with the same `kind`, `room`
   * and `key` resumes it, and the messages since its beginning come again (or a picture, if the
   * history is too short).
   */
  storage?: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  WebSocket?: new (url: string, protocols: string[]) => any;
  setTimeout?: (callback: () => void, ms: number) => any;
  clearTimeout?: (timer: any) => void;
  random?: () => number;
  now?: () => number;
  page?: any;
}

/**
 * Takes a seat; the URLs are tried in turn. Rejects with JoinRefused, ConnectFailed, AuthRefused,
 * PlaceLost, what the token function throws, or the signal's reason.
 */
export function connect<Heard = any, Said = any>(
  urls: string | readonly string[],
  options: ConnectOptions,
): Promise<Place<Heard, Said>>;
