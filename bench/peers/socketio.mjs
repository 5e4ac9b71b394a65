// socket.io: rooms, one process; or one of several behind its Redis adapter.
// node socketio.mjs relay|sink [REDIS_SOCKET]
import http from 'node:http';
import { Server } from 'socket.io';

const silent = process.argv[2] === 'sink';
const redis = process.argv[3];
const server = http.createServer();
const io = new Server(server, { transports: ['websocket'] });

if (redis) {
  const { createClient } = await import('redis');
  const { createAdapter } = await import('@socket.io/redis-adapter');
  const publisher = createClient({ socket: { path: redis } });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  io.adapter(createAdapter(publisher, subscriber));
}

io.on('connection', async (socket) => {
  const room = `r${socket.handshake.query.room}`;
  await socket.join(room);
  socket.on('m', (text) => {
    if (!silent) io.to(room).emit('m', text);
  });
});

server.listen(0, '127.0.0.1', () => {
  const listen = `127.0.0.1:${server.address().port}`;
  console.log(JSON.stringify({ event: 'node.ready', name: 'socket.io', listen, admin: '' }));
});
