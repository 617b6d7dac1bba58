// npm's jose and @sd-jwt/jwt-status-list read everything that the authority signs
// and publishes, with nothing but its metadata: keys, access tokens, identity
// tokens, delegations, and the status list before and after revocation.
//
//   node published_tokens.mjs CONFIG
//
// CONFIG is JSON: {issuer, resource, chain, client_id, principal, principal_key,
// instance_key, identity_token}: a chain file, a client that may exchange tokens,
// who grants and the file of the key, and the files of an instance.
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { getListFromStatusListJWT, getStatusListFromJWT } from '@sd-jwt/jwt-status-list';
import {
    SignJWT,
    calculateJwkThumbprint,
    createRemoteJWKSet,
    decodeProtectedHeader,
    exportJWK,
    importJWK,
    jwtVerify,
} from 'jose';
import { check, identityKeys, must, refused, say } from './suite.mjs';

const config = JSON.parse(process.argv[2]);
const read = (file) => readFileSync(file, 'utf8').trim();

const metadata = await check('metadata', async () =>
    (await fetch(`${config.issuer}/.well-known/oauth-authorization-server`)).json(),
);
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
await check('every published key has its thumbprint for a name, an algorithm and no private part', async () => {
    const answer = await fetch(metadata.jwks_uri);
    must(answer.headers.get('content-type') === 'application/jwk-set+json', 'the media type');
    const set = await answer.json();
    must(set.keys.length >= 2, 'keys for tokens and for identities');
    for (const jwk of set.keys) {
        must(jwk.kid === (await calculateJwkThumbprint(jwk)), `kid of ${jwk.kid}`);
        must(['Ed25519', 'ES256'].includes(jwk.alg) && jwk.use === 'sig' && !('d' in jwk), JSON.stringify(jwk));
        must((await importJWK(jwk)).type === 'public', 'it is a public key');
    }
});

// Verifies a token by the published keys, and that its type is this and no other.
const verified = async (token, typ, options = {}) => {
    must(decodeProtectedHeader(token).typ === typ, `typ ${decodeProtectedHeader(token).typ}`);
    const { payload } = await jwtVerify(token, keys, { typ, ...options });
    const broken = token.slice(0, -5) + (token.at(-5) === 'A' ? 'B' : 'A') + token.slice(-4);
    const held = await jwtVerify(broken, keys, { typ, ...options }).catch(() => undefined);
    must(held === undefined, 'a changed signature is refused');
    return payload;
};

// ------------------------------------------------------------------ an access token

const identityToken = read(config.identity_token);
const instance = await identityKeys(config.instance_key, identityToken);
const { key: principalJwk } = JSON.parse(read(config.principal_key));
const now = () => Math.floor(Date.now() / 1000);

const identity = await check('an identity token (WIT)', () => verified(identityToken, 'wit+jwt', { issuer: metadata.issuer }));
await check('the identity token names the instance and its key', async () => {
    must(/^spiffe:\/\/[^/]+\/agent\//.test(identity.sub), identity.sub);
    const own = await exportJWK(instance.publicKey);
    must(identity.cnf.jwk.x === own.x && identity.cnf.jwk.y === own.y, 'the key');
});

// The principal's own word that the agent may act, for an access token.
const exchanged = async () => {
    const subject = await new SignJWT({ may_act: { sub: 'agent:support-runner' }, jti: randomUUID() })
        .setProtectedHeader({ alg: 'Ed25519', typ: 'JWT' })
        .setIssuer(config.principal)
        .setSubject(config.principal)
        .setAudience(config.issuer)
        .setExpirationTime(now() + 60)
        .sign(await importJWK(principalJwk, 'Ed25519'));
    const proof = await new SignJWT({ jti: randomUUID(), htm: 'POST', htu: metadata.token_endpoint })
        .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(instance.publicKey) })
        .setIssuedAt()
        .sign(instance.privateKey);
    const answer = await fetch(metadata.token_endpoint, {
        method: 'POST',
        headers: { dpop: proof },
        body: new URLSearchParams({
            grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
            client_id: config.client_id,
            subject_token: subject,
            subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
            actor_token: identityToken,
            actor_token_type: 'urn:ietf:params:oauth:token-type:jwt',
            requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
            resource: config.resource,
        }),
    });
    const body = await answer.json();
    must(answer.status === 200, JSON.stringify(body));
    return body.access_token;
};
const access = await check('an access token by exchange', exchanged);
await check('the access token by type, issuer and audience', async () => {
    const options = { issuer: metadata.issuer, audience: config.resource };
    const claims = await verified(access, 'at+jwt', { ...options, requiredClaims: ['exp', 'sub', 'client_id', 'iat', 'jti'] });
    const jkt = await calculateJwkThumbprint(await exportJWK(instance.publicKey));
    must(claims.cnf.jkt === jkt, 'it is bound to the instance');
    must(claims.act.sub === 'agent:support-runner', 'who acts');
});
await refused('an access token as an identity token', (e) => e.claim === 'typ', () => jwtVerify(access, keys, { typ: 'wit+jwt' }));

const [root] = JSON.parse(read(config.chain)).aat_chain;
await check('the root of a delegation', async () => {
    const claims = await verified(root, decodeProtectedHeader(root).typ, { issuer: metadata.issuer });
    must(/aat/.test(decodeProtectedHeader(root).typ), 'its type is its own');
    must(claims.del_depth === 0 && claims.status.status_list, 'a root with a status');
});

// ------------------------------------------------------------------ the status list

const look = async (token) => {
    const reference = getStatusListFromJWT(token);
    const answer = await fetch(reference.uri, { headers: { accept: 'application/statuslist+jwt' } });
    must(answer.status === 200, `status ${answer.status}`);
    must(answer.headers.get('content-type') === 'application/statuslist+jwt', answer.headers.get('content-type'));
    const list = await answer.text();
    const claims = await verified(list, 'statuslist+jwt');
    must(claims.sub === reference.uri, '`sub` is the URI that the token names');
    must(claims.ttl > 0 && claims.exp > now() && claims.iat <= now() + 1, '`ttl`, `exp`, `iat`');
    must(claims.status_list.bits === 1, 'one bit a token');
    return getListFromStatusListJWT(list).getStatus(reference.idx);
};
await check('the list of lists names the list', async () => {
    const { status_lists: lists } = await (await fetch(metadata.status_list_aggregation_endpoint)).json();
    must(lists.includes(getStatusListFromJWT(access).uri) && lists.includes(getStatusListFromJWT(root).uri), lists.join());
});
await check('two tokens have two places', () =>
    must(getStatusListFromJWT(access).idx !== getStatusListFromJWT(root).idx, 'two places'),
);
await check('access token and delegation are valid', async () => must((await look(access)) + (await look(root)) === 0, 'both 0'));

// Taken back by the operator, by the names that the ledger has for them.
const hash = (token) => createHash('sha256').update(token.split('.').slice(0, 2).join('.')).digest('base64url');
const becomesInvalid = async (token) => {
    for (let tries = 0; tries < 50; tries += 1) {
        if ((await look(token)) === 1) return;
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error('still valid after five seconds');
};
say('revoke', { delegation: hash(root) });
await check('the revoked delegation is invalid', () => becomesInvalid(root));
await check('the access token of the same grant stays valid', async () => must((await look(access)) === 0, '0'));
say('revoke', { delegation: hash(access) });
await check('the revoked access token is invalid', () => becomesInvalid(access));
say('done');
