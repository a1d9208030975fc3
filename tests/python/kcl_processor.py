"""What the KCL's MultiLangDaemon hands its records to: writes each to a file, and checkpoints.

Usage: kcl_processor.py FILE; the daemon starts one for each shard and speaks with it over standard input and output.
"""

import sys

from amazon_kclpy import kcl
from amazon_kclpy.v3 import processor


class Recorder(processor.RecordProcessorBase):
    def initialize(self, initialize_input):
        self.shard = initialize_input.shard_id

    def process_records(self, process_records_input):
        with open(sys.argv[1], "a") as out:
            for record in process_records_input.records:
                print("record", record.partition_key, record.binary_data.decode(), file=out)
        process_records_input.checkpointer.checkpoint()

    def lease_lost(self, lease_lost_input):
        pass

    def shard_ended(self, shard_ended_input):
        shard_ended_input.checkpointer.checkpoint()
        with open(sys.argv[1], "a") as out:
            print("ended", self.shard, file=out)

    def shutdown_requested(self, shutdown_requested_input):
        shutdown_requested_input.checkpointer.checkpoint()


kcl.KCLProcess(Recorder()).run()
