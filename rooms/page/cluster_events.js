/** Follows the cluster: one stream of server-sent events, which resumes by itself. */

const SILENCE_MS = 7_000; // figures arrive each second
const RETRY_MS = 1_000;

const HIDDEN_MS = 10_000; // browsers open six connections to a server, for all tabs together

/**
 * Calls `on.cluster`, `on.figures` and `on.log` with what arrives, `on.lost()` when the server is
 * silent or gone, and `on.found()` when it is heard again.
 *
 * The browser reconnects with the last event's id. After an answer that is not a stream, or a silence,
 * this opens a new stream, which begins with the whole state. A hidden page has no stream after a while.
 */
export function followCluster(on) {
  let source = null;
  let silence = null;
  let heard = null; // not known yet
  let hiding = null;

  function open() {
    source?.close();
    source = new EventSource("/cluster/events");
    for (const type of ["cluster", "figures", "log"]) {
      source.addEventListener(type, ({ data }) => {
        live();
        on[type](JSON.parse(data));
      });
    }
    source.onerror = () => {
      lose();
      if (source.readyState === EventSource.CLOSED) expect(RETRY_MS);
    };
    expect(SILENCE_MS);
  }

  function pause() {
    source.close();
    clearTimeout(silence);
  }

  function expect(ms) {
    clearTimeout(silence);
    silence = setTimeout(() => {
      lose();
      open();
    }, ms);
  }

  function live() {
    expect(SILENCE_MS);
    if (heard !== true) on.found();
    heard = true;
  }

  function lose() {
    if (heard !== false) on.lost();
    heard = false;
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hiding);
    if (document.hidden) hiding = setTimeout(pause, HIDDEN_MS);
    else if (source.readyState === EventSource.CLOSED) open();
  });
  open();
}
