// ObjectTransfer: moves a claim or a DataVolume to another namespace or name, without a copy. CDI calls it deprecated.
import { Type } from 'typebox';
import { optionalConditions } from '../kube-shapes.ts';
import { optionalText, optionalTextMap, text } from '../schema-members.ts';

const Source = Type.Object(
  {
    apiVersion: optionalText('API version of the object'),
    kind: text('DataVolume or PersistentVolumeClaim'),
    namespace: text('namespace of the object'),
    name: text('name of the object'),
    requiredAnnotations: optionalTextMap('annotations that the object must have before it is moved'),
  },
  { description: 'what is moved' },
);

const Target = Type.Object(
  {
    namespace: optionalText('namespace to move it to; its own where it is absent'),
    name: optionalText('name to give it; its own where it is absent'),
  },
  { description: 'where it is moved to' },
);

export const ObjectTransferSpec = Type.Object(
  { source: Source, target: Target, parentName: optionalText('transfer of which this one is a part') },
  { description: 'what is moved, and where to' },
);

export const ObjectTransferStatus = Type.Object(
  {
    data: optionalTextMap('what the transfer remembers from step to step'),
    phase: optionalText('Pending, Running, Complete or Error; empty at first'),
    conditions: optionalConditions('Complete'),
  },
  { description: 'how far it is' },
);
