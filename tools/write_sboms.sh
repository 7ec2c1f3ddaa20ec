#!/bin/sh
# Write build/sbom-TARGET.cdx.json: write_sboms.sh TOOL ENVIRONMENT IMAGE... (ENGINE, PREFIX and TAG name the images; OUT is the folder).
# TOOL is a virtual environment with cyclonedx-bom, outside what it describes; in an image it runs with the image's own Python.
set -eu
out=${OUT:-build}
tool=$(cd "$1" && echo "$PWD"/lib/python*/site-packages)
environment=$2
shift 2
run='import runpy, sys; sys.path.append(sys.argv.pop(1)); sys.argv[0] = "cyclonedx-py"; runpy.run_module("cyclonedx_py", run_name="__main__")'
options="--no-validate --output-reproducible --output-format JSON --output-file -"

# shellcheck disable=SC2086 # the options are words
"$environment/bin/python" -c "$run" "$tool" environment $options "$environment" >"$out/sbom-environment.cdx.json"
echo "$out/sbom-environment.cdx.json"
for target in "$@"; do
  image=$PREFIX/$target:$TAG
  if [ -z "$ENGINE" ] || ! "$ENGINE" image inspect "$image" >/dev/null 2>&1; then
    echo "$image is not built here (make images IMAGES=$target)"
    continue
  fi
  # shellcheck disable=SC2086
  "$ENGINE" run --rm --network none --volume "$tool:/sbom:ro" --entrypoint python "$image" \
    -c "$run" /sbom environment $options /opt/candor >"$out/sbom-$target.cdx.json"
  echo "$out/sbom-$target.cdx.json"
done
