// Plays the clients of a test. The test calls the returned function: with lines of JSON in Node,
// directly in a page. `values` is the module of values.mjs.

export function makePuppet(connect, values) {
  const players = [];

  async function listen(player) {
    try {
      for await (const { seq, data } of player.place) player.ledger.push([seq, data]);
    } catch (error) {
      player.lost = error.code ?? 0;
    }
    player.readToTheEnd = true;
  }

  const verbs = {
    async join({ urls, request }) {
      const player = { ledger: [], lost: null, readToTheEnd: false, failed: [] };
      player.place = await connect(urls, request);
      players.push(player);
      listen(player);
      return players.length - 1;
    },
    say({ player: { place, failed }, values }) {
      for (const value of values) place.say(value).catch((error) => failed.push(String(error)));
    },
    report({ player: { place, ledger, lost, readToTheEnd, failed } }) {
      const { state, room, you, node, resumes, regroups, incomplete } = place;
      const { repeats, refused, unacked, ended } = place;
      const counts = { resumes, regroups, incomplete, repeats, refused, unacked };
      const end = { ended: ended?.reason ?? null, result: ended?.result ?? null, lost };
      const shown = state === "over" && !readToTheEnd ? "here" : state; // some are still unread
      return { state: shown, room, you, node, heard: ledger.length, failed, ...counts, ...end };
    },
    ledger({ player }) {
      return player.ledger;
    },
    say_all_values({ player }) {
      return values.sayAll(player.place);
    },
    differences({ player }) {
      return values.differences(player.ledger.map(([, data]) => data.said));
    },
    async leave({ player }) {
      await player.place.leave();
    },
  };

  return async ({ verb, player, ...rest }) => {
    try {
      const done = await verbs[verb]({ player: players[player], ...rest });
      return { done: done ?? null };
    } catch (error) {
      return { failed: `${error.name}: ${error.message}` };
    }
  };
}
