// Colyseus: rooms with a matchmaker, one process. No state is synchronised, only messages.
// node colyseus.mjs relay|sink
import http from 'node:http';
import { Room, Server } from '@colyseus/core';
import { WebSocketTransport } from '@colyseus/ws-transport';

const silent = process.argv[2] === 'sink';

class Relay extends Room {
  maxClients = 100000;
  patchRate = null;
  onCreate() {
    this.onMessage('m', (client, text) => {
      if (!silent) this.broadcast('m', text);
    });
  }
}

// Colyseus does not report the port after listen(0), so a free port is found first.
const port = await new Promise((found) => {
  const probe = http.createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => found(port));
  });
});
const server = new Server({ transport: new WebSocketTransport({ pingInterval: 0 }), greet: false });
server.define('relay', Relay).filterBy(['room']);
await server.listen(port, '127.0.0.1');
const listen = `127.0.0.1:${port}`;
console.log(JSON.stringify({ event: 'node.ready', name: 'colyseus', listen, admin: '' }));
