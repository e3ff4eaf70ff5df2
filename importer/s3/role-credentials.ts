// Credentials of the role that the operator set for sources without a secret: the token of the service account is exchanged for keys of limited
// life (AssumeRoleWithWebIdentity of AWS's Security Token Service), and again before they end.
import { fromTokenFile } from '@aws-sdk/credential-provider-web-identity';
import { Fault } from '../../domain/fault.ts';
import type { Config } from '../../runtime/config.ts';
import { HttpTransport, type TransportSettings } from '../http/http-transport.ts';
import { SdkTransport } from './sdk-transport.ts';

interface RoleKeys {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  expiration?: Date;
}

/** Keys are not used any more when they end this soon. */
const reserveMs = 300_000;

/**
 * @param way whose trust is the system's: what a user trusts is not asked about the operator's role
 * @returns a provider for the SDK, which throws Fault SourceUnauthorized or those of the way to the token service
 */
export function roleCredentials(
  way: Pick<TransportSettings, 'proxy'> & { region: string },
  config: Config,
  signal: AbortSignal,
): () => Promise<RoleKeys> {
  let kept: RoleKeys | undefined;
  return async () => {
    if (kept === undefined || (kept.expiration?.getTime() ?? 0) < Date.now() + reserveMs) {
      kept = await assumeRole(way, config, signal);
    }
    return kept;
  };
}

async function assumeRole(
  { region, ...way }: Pick<TransportSettings, 'proxy'> & { region: string },
  config: Config,
  signal: AbortSignal,
): Promise<RoleKeys> {
  const transport = new HttpTransport({ certificates: [], insecureSkipVerify: false, ...way }, config, signal);
  const endpoint = config.s3StsEndpoint === '' ? {} : { endpoint: config.s3StsEndpoint };
  try {
    return await fromTokenFile({
      webIdentityTokenFile: config.s3TokenFile,
      roleArn: config.s3RoleArn,
      roleSessionName: 'longshore',
      clientConfig: { region, maxAttempts: 1, requestHandler: new SdkTransport(transport), ...endpoint },
    })();
  } catch (error) {
    if (error instanceof Fault) throw error;
    const name = error instanceof Error ? error.name : 'failed';
    throw new Fault('SourceUnauthorized', `the role ${config.s3RoleArn} could not be taken: ${name}`, { cause: error });
  } finally {
    await transport.close();
  }
}
