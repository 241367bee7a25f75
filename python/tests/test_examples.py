"""The examples run, and the program says what is true of what they recorded."""
import importlib.util
import os
import subprocess
import sys
import unittest

from case import ROOT, Case


class Examples(Case):
    def run_example(self, name, *args, warned=None):
        done = subprocess.run([sys.executable, os.path.join(ROOT, "python", "examples", name), *args],
                              capture_output=True, text=True, cwd=self.folder,
                              env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.path.join(ROOT, "python")})
        self.assertEqual(done.returncode, 0, done.stderr)
        if warned:
            self.assertIn("sigmascope: " + warned, done.stderr)
        else:
            self.assertNotIn("sigmascope:", done.stderr)
        return done.stdout

    def test_kohya_like(self):
        """A loss that the trainer replaces by zero is found, with its step and module."""
        said = self.run_example("kohya_like.py", "--output", "bad", "--max_train_steps", "12", "--broken_image_at", "7",
                                "--v_prediction", warned="step 7: the batch is not finite: 1 of 8192 values of sample 3")
        self.assertIn("1 losses that were not finite were set to zero", said)
        run = self.path("bad/run.h5")
        said = self.program("analyze", run, status=3)
        self.assertIn("BAD in fp16: conv_in is the first place with inf or NaN", said)
        self.assertIn("since  step 7; at 1 of 12 measured steps", said)
        self.assertIn("The loss is inf or NaN at 1 of 12 measured steps.", said)
        self.program("bisect", run, "--fail", "nonfinite(*)", status=3)

    @unittest.skipUnless(all(map(importlib.util.find_spec, ("diffusers", "accelerate"))), "needs diffusers and accelerate")
    def test_train_diffusers(self):
        args = ("--output", "out", "--train_batch_size", "4", "--checkpointing_steps", "10")
        self.run_example("train_diffusers.py", *args, "--max_train_steps", "10")
        self.run_example("train_diffusers.py", *args, "--max_train_steps", "20", "--resume_from_checkpoint", "checkpoint-10",
                         "--gradient_checkpointing")
        said = self.program("analyze", self.path("out/run.h5"), "--format", "fp16")
        self.assertIn("GOOD in fp16", said)
        self.assertIn("covers 4 measured steps from 0 to 15", said)
