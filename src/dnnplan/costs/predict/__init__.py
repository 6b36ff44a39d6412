"""Latency predictors: operator-wise models, and networks composed of them (docs/predictors.md)."""

from dnnplan.costs.predict.by_operator import evaluate_operators
from dnnplan.costs.predict.compose import Composition, NetworkTerms, fit_composition, network_terms
from dnnplan.costs.predict.cpu_design import cpu_design
from dnnplan.costs.predict.cpu_evaluate import evaluate_cpu_settings, evaluate_whole
from dnnplan.costs.predict.design import Design
from dnnplan.costs.predict.evaluate import NetworkModel, accuracy, evaluate_networks, fit_networks
from dnnplan.costs.predict.features import qed_usc_design
from dnnplan.costs.predict.files import load_model, save_model
from dnnplan.costs.predict.gpus import neusight_design
from dnnplan.costs.predict.kernels import FAMILIES, PHONES, RULES, RuleSet, kernel_classes, rule_set, tail
from dnnplan.costs.predict.layouts import (
    qed_usc_targets,
    read_neusight,
    read_qed_usc,
    read_qed_usc_graphs,
    read_qed_usc_networks,
)
from dnnplan.costs.predict.medn import Medn
from dnnplan.costs.predict.medn_files import load_medn, save_medn
from dnnplan.costs.predict.medn_torch import MednSettings
from dnnplan.costs.predict.medn_train import fit_medn
from dnnplan.costs.predict.models import MODELS, OperatorModel, fit_operators
from dnnplan.costs.predict.module_files import load_modules, save_modules
from dnnplan.costs.predict.module_model import ModuleModel
from dnnplan.costs.predict.modules import column_design, module_designs, split_design
from dnnplan.costs.predict.records import composition_from, composition_record
from dnnplan.costs.predict.regressors import compare_regressors
from dnnplan.costs.predict.selection import Selection, select_models
from dnnplan.costs.predict.tables import EndToEnd, Operators
from dnnplan.costs.predict.whole import WholeModel
from dnnplan.costs.predict.whole_fit import fit_whole
from dnnplan.costs.predict.whole_records import load_whole, save_whole

__all__ = [
    "FAMILIES",
    "MODELS",
    "PHONES",
    "RULES",
    "Composition",
    "Design",
    "EndToEnd",
    "Medn",
    "MednSettings",
    "ModuleModel",
    "NetworkModel",
    "NetworkTerms",
    "OperatorModel",
    "Operators",
    "RuleSet",
    "Selection",
    "WholeModel",
    "accuracy",
    "column_design",
    "compare_regressors",
    "composition_from",
    "composition_record",
    "cpu_design",
    "evaluate_cpu_settings",
    "evaluate_networks",
    "evaluate_operators",
    "evaluate_whole",
    "fit_composition",
    "fit_medn",
    "fit_networks",
    "fit_operators",
    "fit_whole",
    "kernel_classes",
    "load_medn",
    "load_model",
    "load_modules",
    "load_whole",
    "module_designs",
    "network_terms",
    "neusight_design",
    "qed_usc_design",
    "qed_usc_targets",
    "read_neusight",
    "read_qed_usc",
    "read_qed_usc_graphs",
    "read_qed_usc_networks",
    "rule_set",
    "save_medn",
    "save_model",
    "save_modules",
    "save_whole",
    "select_models",
    "split_design",
    "tail",
]
