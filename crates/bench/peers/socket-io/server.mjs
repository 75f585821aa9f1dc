// The original Socket.IO server with Maru's room of seats: the same events, the same payloads, nothing else to do.
//
// What becomes known is posted to it in the form in which Maru's replicas read it from their stream.

import { createServer } from 'node:http';
import { Server } from 'socket.io';

const TAKEN = ['seat-locked', 'seat-selected'];
const FREE = ['seat-released'];

const roomOf = (eventId) => `seats:${eventId}`;

function tell({ event_id, seats }) {
  for (const { seat_id, status, version } of seats) {
    const changed = { seatId: seat_id, status, version, timestamp: new Date().toISOString() };
    for (const name of status === 'available' ? FREE : TAKEN) io.to(roomOf(event_id)).emit(name, changed);
  }
}

async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

const http = createServer(async (request, response) => {
  if (request.url === '/livez') return response.end('ok');
  if (request.url !== '/notices' || request.method !== 'POST') return response.writeHead(404).end();
  (await read(request)).forEach(tell);
  response.writeHead(204).end();
});

const io = new Server(http, { serveClient: false, maxHttpBufferSize: 100_000 });
// Whose a token is, an application looks up; here all are good.
io.use((socket, next) => next(socket.handshake.auth.token ? undefined : new Error('Authentication required')));
io.on('connection', (socket) => {
  socket.on('join-seat-selection', ({ eventId }, answer) => {
    socket.join(roomOf(eventId));
    answer({ ok: true, eventId });
  });
});

process.on('SIGTERM', () => process.exit(0));
// A crowd comes at once.
http.listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 });
