// OvirtVolumePopulator and OpenstackVolumePopulator of forklift.cdi.kubevirt.io: disks that Forklift brings over from other platforms.
import { Type } from 'typebox';
import { optionalText, text } from '../schema-members.ts';

const transferNetwork = () => optionalText('network attachment definition through which the disk is read');

export const OvirtVolumePopulatorSpec = Type.Object(
  {
    engineUrl: text('URL of the oVirt engine'),
    secretRef: text('secret with the credentials of the engine'),
    diskId: text('id of the disk'),
    transferNetwork: transferNetwork(),
  },
  { description: 'which disk of which oVirt engine' },
);

export const OpenstackVolumePopulatorSpec = Type.Object(
  {
    identityUrl: text('URL of the identity service'),
    secretRef: text('secret with the credentials of OpenStack'),
    imageId: text('id of the image'),
    transferNetwork: transferNetwork(),
  },
  { description: 'which image of which OpenStack' },
);

export const PopulatorStatus = Type.Object(
  { progress: optionalText('percentage of the disk that is read') },
  { description: 'how far it is' },
);
