// Orders of tickets in Node.js: the same rows on disk as the ticketing service writes for each order.
//
// MODE=transaction: a transaction for each request, as such a service is commonly written, with the row that everybody
// waits for locked last. MODE=combiner: Maru's own way, its combiner and its SQL function.
// Buyers name themselves in a header: no token is checked here, and nothing is logged.

import { createHash, randomBytes } from 'node:crypto';
import Fastify from 'fastify';
import pg from 'pg';

const ROUTE = 'POST /api/v1/reservations';
const MESSAGE = 'Your tickets are reserved.';
const HOLD_SECONDS = 3600;
const MOST_PER_EVENT = 10;
const BATCH = 64;
const DEPTH = 2;
const LETTERS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ';

const pool = new pg.Pool({
  connectionString: process.env.DATABASE_URL,
  max: Number(process.env.POOL),
  idleTimeoutMillis: 0,
});

class Refusal extends Error {
  constructor(code, status) {
    super(code);
    this.statusCode = status;
  }
}

// A UUID of version 7, so that new rows lie beside each other in the index.
function newId() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function newNumber() {
  let number = 'TK';
  for (const byte of randomBytes(12)) number += LETTERS[byte % 36];
  return number;
}

const FIND = `SELECT t.price, is_on_sale(e) AS is_open FROM ticket_types t JOIN events e ON e.id = t.event_id
  WHERE t.id = $1 AND e.id = $2`;
const CLAIM = `INSERT INTO idempotency_keys (user_id, route, key, body_hash, status, answer)
  VALUES ($1, $2, $3, $4, 201, $5) ON CONFLICT DO NOTHING`;
const KEPT = 'SELECT body_hash, status, answer::text FROM idempotency_keys WHERE user_id = $1 AND route = $2 AND key = $3';
const COUNT = `INSERT INTO user_event AS u (user_id, event_id, quantity) VALUES ($1, $2, $3)
  ON CONFLICT (user_id, event_id) DO UPDATE SET quantity = u.quantity + excluded.quantity
  WHERE u.quantity + excluded.quantity <= ${MOST_PER_EVENT}`;
const RESERVE = `INSERT INTO reservations (id, reservation_number, event_id, user_id, total_amount, expires_at)
  VALUES ($1, $2, $3, $4, $5, $6)`;
const ITEM = `INSERT INTO reservation_items (reservation_id, ticket_type_id, quantity, unit_price)
  VALUES ($1, $2, $3, $4)`;
const MOVE = `WITH moved AS (
    UPDATE ticket_types SET held = held + $2, version = version + 1
    WHERE id = $1 AND held + sold + $2 <= total_quantity RETURNING *)
  INSERT INTO outbox (id, topic, payload)
  SELECT gen_random_uuid(), 'notice', jsonb_build_object('kind', 'tickets', 'event_id', event_id, 'ticket_type_id', id,
    'available_quantity', total_quantity - held - sold, 'total_quantity', total_quantity, 'version', version)
  FROM moved`;

const run = (client, name, text, values) => client.query({ name, text, values });

async function inTransaction(order) {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const { rows: [type] } = await run(client, 'find', FIND, [order.typeId, order.eventId]);
    if (!type) throw new Refusal('ticket_type_not_found', 404);
    if (!type.is_open) throw new Refusal('sale_closed', 409);
    const expiresAt = new Date(Date.now() + HOLD_SECONDS * 1000);
    const total = Number(type.price) * order.quantity;
    const answer = JSON.stringify({
      message: MESSAGE,
      reservation: {
        id: order.id, reservationNumber: order.number, totalAmount: total, expiresAt: expiresAt.toISOString(),
      },
    });
    const claimed = await run(client, 'claim', CLAIM, [order.buyer, ROUTE, order.key, order.hash, answer]);
    if (claimed.rowCount === 0) {
      const { rows: [kept] } = await run(client, 'kept', KEPT, [order.buyer, ROUTE, order.key]);
      if (!kept.body_hash.equals(order.hash)) throw new Refusal('idempotency_key_reused', 422);
      await client.query('ROLLBACK');
      return { status: kept.status, answer: kept.answer };
    }
    const counted = await run(client, 'count', COUNT, [order.buyer, order.eventId, order.quantity]);
    if (counted.rowCount === 0) throw new Refusal('limit_reached', 409);
    const row = [order.id, order.number, order.eventId, order.buyer, total, expiresAt];
    await run(client, 'reserve', RESERVE, row);
    await run(client, 'item', ITEM, [order.id, order.typeId, order.quantity, type.price]);
    const moved = await run(client, 'move', MOVE, [order.typeId, order.quantity]);
    if (moved.rowCount === 0) throw new Refusal('sold_out', 409);
    await client.query('COMMIT');
    return { status: 201, answer };
  } catch (fault) {
    await client.query('ROLLBACK');
    throw fault;
  } finally {
    client.release();
  }
}

const TOGETHER = `SELECT outcomes, statuses, answers FROM reserve_batch(
  $1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5, $6::text[], $7::bytea[], $8::text[], $9::int[], $10::uuid[],
  $11::int[], $12, $13, $14, false)`;

const waiting = [];
let running = 0;

function combined(order) {
  return new Promise((answered, failed) => {
    waiting.push({ order, answered, failed });
    // After what else came in with the same look at the sockets.
    setImmediate(go);
  });
}

function go() {
  while (waiting.length > 0 && (running === 0 || (running < DEPTH && waiting.length >= BATCH))) {
    running += 1;
    together(takeBatch()).finally(() => {
      running -= 1;
      go();
    });
  }
}

// At most one order of each person: the others wait.
function takeBatch() {
  const [buyers, jobs, later] = [new Set(), [], []];
  let taken = 0;
  for (; taken < waiting.length && jobs.length < BATCH; taken += 1) {
    const job = waiting[taken];
    if (buyers.has(job.order.buyer)) later.push(job);
    else jobs.push(job);
    buyers.add(job.order.buyer);
  }
  waiting.splice(0, taken, ...later);
  return jobs;
}

function values(orders, isCautious) {
  const column = (name) => orders.map((order) => order[name]);
  return [
    column('id'), column('number'), column('eventId'), column('buyer'), ROUTE, column('key'), column('hash'),
    orders.map(() => MESSAGE), orders.map((_, at) => at + 1), column('typeId'), column('quantity'), HOLD_SECONDS,
    MOST_PER_EVENT, isCautious,
  ];
}

async function together(jobs) {
  const orders = jobs.map((job) => job.order);
  const ask = (isCautious) => run(pool, 'together', TOGETHER, values(orders, isCautious));
  try {
    const short = (fault) => {
      if (fault.message !== 'orders_run_short') throw fault;
      return ask(true);
    };
    const { rows: [row] } = await ask(false).catch(short);
    jobs.forEach(({ answered, failed }, at) => {
      const outcome = row.outcomes[at];
      if (outcome === 'created' || outcome === 'kept') {
        answered({ status: row.statuses[at], answer: row.answers[at] });
      } else failed(new Refusal(outcome, 409));
    });
  } catch (fault) {
    jobs.forEach(({ failed }) => failed(fault));
  }
}

const place = process.env.MODE === 'combiner' ? combined : inTransaction;
const uuid = { type: 'string', pattern: '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' };
const schema = {
  headers: {
    type: 'object',
    properties: { 'x-user-id': uuid, 'idempotency-key': { type: 'string', pattern: '^[0-9A-Za-z_-]{1,128}$' } },
    required: ['x-user-id', 'idempotency-key'],
  },
  body: {
    type: 'object',
    properties: {
      eventId: uuid,
      items: {
        type: 'array', minItems: 1, maxItems: 1,
        items: {
          type: 'object',
          properties: { ticketTypeId: uuid, quantity: { type: 'integer', minimum: 1, maximum: 10 } },
          required: ['ticketTypeId', 'quantity'],
        },
      },
    },
    required: ['eventId', 'items'],
  },
};

const server = Fastify({ logger: false });
server.get('/livez', async () => 'ok');
server.post('/api/v1/reservations', { schema }, async (request, reply) => {
  const { eventId, items: [{ ticketTypeId, quantity }] } = request.body;
  const { status, answer } = await place({
    id: newId(), number: newNumber(), eventId, typeId: ticketTypeId, quantity,
    buyer: request.headers['x-user-id'], key: request.headers['idempotency-key'],
    hash: createHash('sha256').update(JSON.stringify(request.body)).digest(),
  });
  return reply.code(status).type('application/json').send(answer);
});

await server.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
