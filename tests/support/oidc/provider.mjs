// The certified provider oidc-provider, set up by a file of JSON: its port, its keys, one client, and who has which groups.
// The groups are read again for each request, so that a test can change them: {"people": {"dana": ["sre"]}}.
import { readFileSync } from 'node:fs'
import Provider from '../../../sidecar/sdk/node/node_modules/oidc-provider/lib/index.js'

const file = process.argv[2]
const read = () => JSON.parse(readFileSync(file, 'utf8'))
const { port, jwks, client, method } = read()

const provider = new Provider(`http://localhost:${port}`, {
  jwks,
  clients: [client],
  claims: { openid: ['sub'], profile: ['name'], groups: ['groups'] },
  scopes: ['openid', 'profile', 'groups', 'offline_access'],
  clientAuthMethods: [method],
  issueRefreshToken: async (ctx, of, code) => of.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  rotateRefreshToken: true,
  features: { backchannelLogout: { enabled: true } },
  // Its own dispatcher calls no address on loopback.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  async findAccount(_, sub) {
    const groups = read().people[sub]
    return groups && { accountId: sub, claims: () => ({ sub, name: `${sub} at the provider`, groups }) }
  },
})
provider.on('backchannel.error', (_, error) => console.error(error))
provider.listen(port, '127.0.0.1', () => console.log('ready'))
