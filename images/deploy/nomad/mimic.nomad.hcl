# nomad job run mimic.nomad.hcl; then, for each run: nomad job dispatch -meta uri=https://example.com/ mimic
# A comma in the URI has to be written twice: it separates QEMU's options.
job "mimic" {
  type = "batch"

  parameterized {
    meta_required = ["uri"]
  }

  group "mimic" {
    restart {
      attempts = 0
      mode     = "fail"
    }

    task "mimic" {
      driver = "qemu"

      # cargo image build --format qcow2
      artifact {
        source = "https://images.example.com/mimic/default.qcow2"
      }

      config {
        image_path  = "local/default.qcow2"
        accelerator = "kvm"
        args = [
          "-cpu", "host",
          "-nic", "user,model=virtio-net-pci",
          "-device", "virtio-rng-pci",
          "-fw_cfg", "name=opt/mimic/target,string=${NOMAD_META_uri}",
          "-fw_cfg", "name=opt/mimic/timeout,string=1m",
        ]
      }

      resources {
        cpu    = 500
        memory = 128
      }
    }
  }
}
