// Node's ws: no rooms, no tiers. The room is in the query; each text goes to all in it.
// node ws.mjs relay|sink
import http from 'node:http';
import { WebSocketServer } from 'ws';

const silent = process.argv[2] === 'sink';
const rooms = new Map();
const server = http.createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false });

sockets.on('connection', (socket, request) => {
  const name = new URL(request.url, 'http://x').searchParams.get('room');
  const room = rooms.get(name) ?? rooms.set(name, new Set()).get(name);
  room.add(socket);
  socket.on('close', () => room.delete(socket));
  socket.on('message', (text) => {
    if (silent) return;
    for (const one of room) one.send(text, { binary: false });
  });
});

server.listen(0, '127.0.0.1', () => {
  const listen = `127.0.0.1:${server.address().port}`;
  console.log(JSON.stringify({ event: 'node.ready', name: 'ws', listen, admin: '' }));
});
