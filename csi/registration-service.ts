// The kubelet's plugin registration: it finds our socket in its directory, asks who we are, and says whether it has taken us. It asks again
// after each start of its own, so nothing is to be repeated here.
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { Nothing, RegistrationStatus } from './requests.ts';
import { type CallContext, unary } from './unary.ts';

/** Of the CSI; the kubelet takes any 1.x. */
const supportedVersions = ['1.0.0'];

export interface RegistrationOptions {
  driver: string;
  /** Path of the driver's socket as the kubelet sees it. */
  endpoint: string;
  /** Called with what the kubelet says; `refusal` is undefined where it has taken the driver. */
  told(refusal: string | undefined): void;
}

export function registrationService(context: CallContext, options: RegistrationOptions): UntypedServiceImplementation {
  const { driver, endpoint, told } = options;
  return {
    GetInfo: unary(context, Nothing, () => ({ type: 'CSIPlugin', name: driver, endpoint, supportedVersions })),
    NotifyRegistrationStatus: unary(context, RegistrationStatus, ({ pluginRegistered, error }) => {
      told(pluginRegistered ? undefined : error || 'the kubelet gave no reason');
      return {};
    }),
  };
}
