// Status lists made by npm's @sd-jwt/jwt-status-list and signed by jose, one of each
// size, for our reader: the key and the lists as JSON.
//
//   node status_lists.mjs
import { StatusList, createHeaderAndPayload } from '@sd-jwt/jwt-status-list';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';

const uri = 'https://issuer.example/statuslists/7';
const { publicKey, privateKey } = await generateKeyPair('Ed25519');
const now = Math.floor(Date.now() / 1000);
const lists = [];
for (const bits of [1, 2, 4, 8]) {
    // Every status that fits, then a long tail, so that bytes are shared and compressed.
    const statuses = Array.from({ length: 4096 }, (_, i) => (i < 512 ? i % 2 ** bits : Number(i % 1000 === 0)));
    const claims = { iss: 'https://issuer.example', sub: uri, iat: now, exp: now + 3600, ttl: 60 };
    const { header, payload } = createHeaderAndPayload(new StatusList(statuses, bits), claims, {
        alg: 'Ed25519',
        typ: 'statuslist+jwt',
    });
    lists.push({ bits, statuses, token: await new SignJWT(payload).setProtectedHeader(header).sign(privateKey) });
}
console.log(JSON.stringify({ event: 'lists', uri, key: await exportJWK(publicKey), lists }));
