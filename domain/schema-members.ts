// Members of the schemas of objects. Each takes the sentence that `kubectl explain` shows of it, so that none can be forgotten.
// Keywords of Kubernetes (`x-kubernetes-…`, `nullable`, `format`) stand in the options and go through to the CRDs as they are.
import { type TProperties, type TSchema, type TSchemaOptions, Type } from 'typebox';

export const text = (description: string, options: TSchemaOptions = {}) => Type.String({ ...options, description });

export const optionalText = (description: string, options: TSchemaOptions = {}) =>
  Type.Optional(text(description, options));

/** A text that is one of a few. */
export const optionalChoice = (description: string, choices: readonly string[]) =>
  optionalText(description, { enum: [...choices] });

export const optionalFlag = (description: string) => Type.Optional(Type.Boolean({ description }));

export const optionalInteger = (description: string, format: 'int32' | 'int64' = 'int64') =>
  Type.Optional(Type.Integer({ description, format }));

export const optionalTexts = (description: string, options: TSchemaOptions = {}) =>
  optionalList(Type.String(), description, options);

export const optionalTextMap = (description: string) =>
  Type.Optional(Type.Record(Type.String(), Type.String(), { description }));

export const optionalList = <Item extends TSchema>(items: Item, description: string, options: TSchemaOptions = {}) =>
  Type.Optional(Type.Array(items, { ...options, description }));

export const optionalObject = <Members extends TProperties>(description: string, members: Members) =>
  Type.Optional(Type.Object(members, { description }));

/** The same shape in another place, where it means something else. */
export function optionalAs<Shape extends TSchema>(shape: Shape, description: string) {
  // Safe: only the description is another.
  return Type.Optional({ ...shape, description } as Shape);
}
